"""t2ipal: multi-label image recognition tuned on synthetic images, with no annotated image.

The library is pure and typed; only `t2ipal.stages` knows Ray. Start reading at `jobs/pipeline.py`.
"""
