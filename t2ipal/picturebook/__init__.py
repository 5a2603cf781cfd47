"""The picture world: a drawn world and tiny foundation models trained on it, in the real file formats.

Nothing can be downloaded on a closed machine, so the offline recipe runs the real engines on these models.
"""

from t2ipal.picturebook.classes import vocabulary

__all__ = ["vocabulary"]
