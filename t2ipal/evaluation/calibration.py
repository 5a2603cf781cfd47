"""Probabilities from scores, fitted on held-out synthetic images: nobody annotated a real one.

Shapes: N images, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from t2ipal.evaluation.metrics import Labels, Scores

FEWEST = 10  # images with and without a class to fit it alone: two parameters of fewer are mostly noise
BINS = 15  # of the calibration error, as Guo et al.


@dataclass(frozen=True, eq=False)
class Calibration:
    """Platt scaling: P(class c is there) = 1 / (1 + exp(-(slope_c score + intercept_c))).

    Platt, "Probabilistic outputs for support vector machines", 1999. The probabilities are those of a world
    with as many positives as the images it was fitted on.
    """

    slope: NDArray[np.float64]  # [C], never negative: a higher score never means less
    intercept: NDArray[np.float64]  # [C]

    @classmethod
    def fit(cls, scores: Scores, labels: Labels, known: Labels | None = None) -> Self:
        """Fit each class to `scores` and `labels` [N, C] of images that no parameter was tuned on; of the
        labels to those that are `known` [N, C], or to all.

        A class with fewer than 10 images that hold it, or that do not, gets the line fitted to all classes
        together. Platt's targets keep every slope finite, also where a threshold parts the labels.
        """
        known = np.ones_like(labels) if known is None else known
        shared = _fit(scores[known], labels[known])
        held, free = (labels & known).sum(axis=0), (~labels & known).sum(axis=0)
        lines = [
            _fit(scores[known[:, c], c], labels[known[:, c], c]) if alone else shared
            for c, alone in enumerate(((held >= FEWEST) & (free >= FEWEST)).tolist())
        ]
        slope, intercept = np.array(lines).T
        return cls(slope, intercept)

    def probabilities(self, scores: Scores | NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities, 0 to 1, of `scores` [N, C] or [C]."""
        result: NDArray[np.float64] = expit(self.slope * scores + self.intercept)
        return result

    def to_json(self) -> dict[str, list[float]]:
        """Plain data that `from_json` reads."""
        return {"slope": self.slope.tolist(), "intercept": self.intercept.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[float]]) -> Self:
        """The calibration that `to_json` gave."""
        return cls(np.array(data["slope"]), np.array(data["intercept"]))


def expected_calibration_error(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Mean gap between stated and true probability, 0 to 1, over all image-class pairs together.

    Pairs are binned by probability [N, C] in 15 bins of equal width; a bin's gap is between its mean
    probability and its share of positives, weighted by its pairs (Guo et al., arXiv 1706.04599, eq. 3, for
    yes-or-no answers). Most pairs are sure negatives, so that small values are usual.
    """
    stated, true = probabilities.ravel(), labels.ravel()
    bins = np.minimum((stated * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=stated - true, minlength=BINS)
    return float(np.abs(gaps).sum() / len(stated))


def _fit(scores: Scores, labels: Labels) -> tuple[float, float]:
    """Slope and intercept of the least cross-entropy to Platt's targets, a little off 1 and 0."""
    positives = int(labels.sum())
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    middle, width = float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64)) or 1.0
    x = (scores.astype(np.float64) - middle) / width  # else the two parameters are of unlike size

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = line[0] * x + line[1]
        error = expit(z) - target
        return float((np.logaddexp(0, z) - target * z).mean()), np.array([(error * x).mean(), error.mean()])

    found: Any = minimize(
        loss,
        np.zeros(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    slope = float(found.x[0]) / width
    return slope, float(found.x[1]) - slope * middle
