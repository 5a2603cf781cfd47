"""Average precision. Shapes: N images, C classes."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Labels = NDArray[np.bool_]


def average_precision(scores: Scores, labels: Labels, ignored: Labels | None = None) -> NDArray[np.float64]:
    """Non-interpolated average precision [C] of `scores` and `labels` [N, C], 0 to 1; nan without a positive.

    The mean, over the images that hold the class, of the precision at that image's rank (TaI-DPT's
    evaluation, its code). Images of the same score share the rank of the last of them, as in scikit-learn:
    the figure depends on the scores alone. Broken by the order of the images, ties would favour whichever
    images are listed first, and a constant score could get anything from 0 to 1 instead of the share of
    positives.

    For a class, the images with True in its column of `ignored` [N, C] are left out, as VOC's own evaluation
    leaves out its difficult objects.
    """
    result = np.full(scores.shape[1], np.nan)
    for c in range(scores.shape[1]):
        kept = slice(None) if ignored is None else ~ignored[:, c]
        result[c] = _one(scores[kept, c], labels[kept, c])
    return result


def mean_average_precision(scores: Scores, labels: Labels, ignored: Labels | None = None) -> float:
    """Mean over the classes that occur, in points: 0 to 100."""
    return float(100 * np.nanmean(average_precision(scores, labels, ignored)))


def _one(scores: Scores, labels: Labels) -> float:
    if not labels.any():
        return np.nan
    order = np.argsort(-scores)
    ends = tie_ends(scores[order])
    hits = labels[order].cumsum()[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1])


def tie_ends(ranked: Scores) -> NDArray[np.int64]:
    """Positions of the last of each run of equal scores in `ranked` [N], sorted."""
    return np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
