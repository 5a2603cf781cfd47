"""One image of a pipeline of Stable Diffusion 1.5's size with random weights, through the real Painter.

    python -m tests.images.full_size [float32|bfloat16] [size in pixels]

Prints the seconds and the peak memory of loading and painting. Needs 2.2 GB of disk and 6 GiB of memory.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from jobs.benchmarks.random_painter import save_random_painter
from t2ipal.images.painter import Painter
from t2ipal.images_recipe import ImagesRecipe


def main(dtype: str = "float32", size: str = "512") -> None:
    """Build the pipeline in a process of its own, so that its memory is not counted, then paint."""
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as builder:
            parameters = builder.submit(save_random_painter, Path(folder)).result()
        start = time.monotonic()
        settings = {"steps": 1, "guidance": 7.5, "size": int(size), "dtype": dtype, "batch": 1}
        painter = Painter(ImagesRecipe(model=folder, **settings))
        loaded = time.monotonic()
        (painting,) = painter.paint(["a fish and a house"], [0])
        painted, computed = time.monotonic(), time.process_time()
    assert painting.image.size == (int(size), int(size))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{parameters / 1e6:.0f} M parameters, {dtype}, {size} px, 1 step with guidance")
    print(f"load {loaded - start:.1f} s, paint {painted - loaded:.1f} s, peak {peak:.1f} GiB")
    print(f"{computed:.0f} s of processor time in all")


if __name__ == "__main__":
    main(*sys.argv[1:])
