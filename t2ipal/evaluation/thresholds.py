"""Thresholds from synthetic images, or from the labels that a recognizer learned from. Shapes: N images, C
classes.
"""

import numpy as np
from numpy.typing import NDArray

from t2ipal.evaluation.metrics import Labels, Scores


def best_f1_thresholds(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    """Per class [C] the score above which to report it, chosen for the best F1 on `scores` and `labels` [N,
    C].

    Each lies half-way between the last score taken and the first left out. A class without a positive gets
    its highest score, so that nothing is reported that scores no more than images which do not hold it.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=0).astype(np.float64)
    hits = np.take_along_axis(labels, order, axis=0).cumsum(axis=0)
    taken = np.arange(1, len(scores) + 1)[:, None]
    f1 = 2 * hits / (taken + labels.sum(axis=0))
    # Between equal scores no threshold can pass.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1.0
    last = f1.argmax(axis=0)
    columns = np.arange(scores.shape[1])
    below = np.minimum(last + 1, len(scores) - 1)
    middle: NDArray[np.float64] = (ranked[last, columns] + ranked[below, columns]) / 2
    # Where every image is taken there is none below: stay just under the lowest.
    middle = np.where(below == last, np.nextafter(ranked[last, columns], -np.inf), middle)
    result: NDArray[np.float64] = np.where(labels.any(axis=0), middle, ranked[0])
    return result


def known_f1_thresholds(scores: Scores, labels: Labels, known: Labels) -> NDArray[np.float64]:
    """The same for each class [C] on the images whose label is `known` [N, C]. A class of which no label is
    known gets its highest score.
    """
    thresholds = []
    for c in range(scores.shape[1]):
        rows = known[:, c] if known[:, c].any() else np.ones(len(scores), dtype=np.bool_)
        thresholds.append(best_f1_thresholds(scores[rows, c, None], (labels & known)[rows, c, None])[0])
    return np.array(thresholds)


def above(scores: Scores, thresholds: NDArray[np.float64]) -> list[list[int]]:
    """The classes of each image whose score is above their threshold."""
    return [np.flatnonzero(row > thresholds).tolist() for row in scores]
