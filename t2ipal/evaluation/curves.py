"""What is drawn of scores: precision over recall, stated over true probability, how scores are spread.

Shapes: N images, C classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2ipal.evaluation.calibration import BINS
from t2ipal.evaluation.metrics import Labels, Scores, tie_ends

POINTS = 64  # of a curve, at most: more are not seen


@dataclass(frozen=True)
class Curve:
    """Points of a line, from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Bin:
    """Image-class pairs of about the same stated probability."""

    stated: float  # mean probability, 0 to 1
    true: float  # share of positives, 0 to 1
    pairs: int


@dataclass(frozen=True)
class Histogram:
    """How the scores of images with a class, and of those without it, are spread: shares of each, 0 to 1."""

    edges: tuple[float, ...]  # one more than there are shares
    held: tuple[float, ...]
    free: tuple[float, ...]


def precision_recall(scores: Scores, labels: Labels, points: int = POINTS) -> Curve | None:
    """Precision (y) over recall (x), 0 to 1, of `scores` and `labels` [N], or of all pairs [N, C] together.

    Of the thresholds those at about evenly spaced recall are kept. None without a positive.
    """
    scores, labels = scores.ravel(), labels.ravel()
    if not labels.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = tie_ends(scores[order])
    hits = labels[order].cumsum()[ends]
    rises = np.flatnonzero(np.diff(hits, prepend=0))  # where recall grows
    wanted = np.linspace(hits[rises[0]], hits[-1], points)
    chosen = rises[np.unique(np.searchsorted(hits[rises], wanted))]
    recall, precision = hits[chosen] / hits[-1], hits[chosen] / (ends[chosen] + 1)
    return Curve(tuple(recall.tolist()), tuple(precision.tolist()))


def reliability(probabilities: NDArray[np.float64], labels: Labels) -> tuple[Bin, ...]:
    """The bins that the calibration error of `probabilities` and `labels` [N, C] is summed over; those
    without pairs are left out.
    """
    stated, true = probabilities.ravel(), labels.ravel()
    bins = np.minimum((stated * BINS).astype(np.int64), BINS - 1)
    pairs, total, held = (np.bincount(bins, weights, BINS) for weights in (None, stated, true))
    return tuple(
        Bin(float(total[i] / pairs[i]), float(held[i] / pairs[i]), int(pairs[i]))
        for i in np.flatnonzero(pairs)
    )


def spread(
    scores: Scores | NDArray[np.float64], labels: Labels, span: tuple[float, float], bins: int = 24
) -> Histogram:
    """The histogram of `scores` and `labels` [N], or of all pairs [N, C] together, over a span of scores."""
    scores, labels = scores.ravel(), labels.ravel()
    edges = np.histogram_bin_edges(scores, bins, span)
    held, free = (np.histogram(scores[which], edges)[0] for which in (labels, ~labels))
    return Histogram(tuple(edges.tolist()), _shares(held), _shares(free))


def _shares(counts: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple((counts / max(int(counts.sum()), 1)).tolist())
