"""Average precision. Shapes: N images, C classes."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Labels = NDArray[np.bool_]


def average_precision(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    """Non-interpolated average precision [C] of `scores` and `labels` [N, C], 0 to 1; nan without a positive.

    The mean, over the images that hold the class, of the precision at that image's rank (TaI-DPT's
    evaluation, its code; the same as scikit-learn's where no scores tie). Ties keep the order of the images.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = np.take_along_axis(labels, order, axis=0)
    precision = hits.cumsum(axis=0) / np.arange(1, len(hits) + 1)[:, None]
    positives = hits.sum(axis=0)
    total = np.where(hits, precision, 0.0).sum(axis=0)
    result: NDArray[np.float64] = np.where(positives > 0, total / np.maximum(positives, 1), np.nan)
    return result


def mean_average_precision(scores: Scores, labels: Labels) -> float:
    """Mean over the classes that occur, in points: 0 to 100."""
    return float(100 * np.nanmean(average_precision(scores, labels)))
