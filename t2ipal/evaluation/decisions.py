"""How good yes-or-no answers are: precision, recall and F1. Shapes: N images, C classes."""

from typing import Any

import numpy as np

from t2ipal.evaluation.metrics import Labels, Scores


def top(scores: Scores, count: int = 3) -> Labels:
    """Take the `count` highest scores of each image of `scores` [N, C], whatever they are.

    All classes where there are no more; between equal scores the first class.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    taken = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(taken, best, True, axis=1)
    return taken


def precision_recall_f1(taken: Labels, labels: Labels) -> dict[str, float]:
    """CP, CR, CF1 (per class), OP, OR, OF1 (overall) of the answers `taken` and `labels` [N, C], in points.

    CP and CR are means over classes and CF1 is the harmonic mean of the two, not the mean of the classes' F1;
    OP, OR and OF1 count all image-class pairs together (the field's definitions, as in ML-GCN,
    arXiv 1904.03582, 4.1). A class that no image holds is left out of CP and CR, as out of mAP, but taking it
    counts against OP. A class that is held and never taken has the precision 0. A figure whose denominator is
    0 is 0.
    """
    right, held, given = (each.sum(axis=0) for each in (taken & labels, labels, taken))
    occurs = held > 0
    by_class = (_share(right, given)[occurs].mean(), _share(right, held)[occurs].mean())
    overall = (_share(right.sum(), given.sum()), _share(right.sum(), held.sum()))
    figures = {}
    for letter, (precision, recall) in (("C", by_class), ("O", overall)):
        f1 = _share(2 * precision * recall, precision + recall)
        for name, value in (("P", precision), ("R", recall), ("F1", f1)):
            figures[letter + name] = float(100 * value)
    return figures


def _share(part: Any, whole: Any) -> Any:
    """The share part / whole, of numbers or of each of many; 0 of nothing."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
