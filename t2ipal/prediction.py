"""From scores to what is said about an image: probabilities, labels above their thresholds, and places.

Shapes: C classes, h x w patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from t2ipal.clip.preprocess import Box
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.localisation import Where, locate


@dataclass(frozen=True, eq=False)
class Label:
    """A class that is in the image."""

    name: str
    score: float  # the probability that it is there, 0 to 1 (t2ipal.evaluation.calibration)
    threshold: float  # the probability above which it is reported
    where: Where
    heat: NDArray[np.float32]  # [h, w], cosine similarity of the patches of the visible part to the class
    zero_shot: bool  # a name that came with the image and was never tuned


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the recognizer says about one image."""

    labels: tuple[Label, ...]  # the surest first
    scores: dict[str, float]  # of every class, and of names that came with the image: probabilities, 0 to 1
    visible: Box  # the part of the image that was looked at


@dataclass(frozen=True, eq=False)
class Reading:
    """What a method says about one image, as it says it."""

    scores: NDArray[np.float32]  # [C]
    heat: NDArray[np.float32]  # [C, h, w]

    def __getitem__(self, part: slice) -> "Reading":
        return Reading(self.scores[part], self.heat[part])


@dataclass(frozen=True, eq=False)
class Decisions:
    """The thresholds and the calibration of some classes' scores."""

    names: tuple[str, ...]
    thresholds: NDArray[np.float64]  # [C], of scores
    calibration: Calibration
    zero_shot: bool = False

    def for_names(self, names: Sequence[str]) -> Self:
        """Those of classes of which nothing is known: the mean threshold and the mean line of these."""

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.full(len(names), values.mean())

        line = Calibration(mean(self.calibration.slope), mean(self.calibration.intercept))
        return type(self)(tuple(names), mean(self.thresholds), line, zero_shot=True)

    def scores(self, reading: Reading) -> dict[str, float]:
        """The probability of every class."""
        return dict(zip(self.names, self.calibration.probabilities(reading.scores).tolist(), strict=True))

    def labels(self, reading: Reading, visible: Box, threshold: float | None) -> list[Label]:
        """The classes above their own thresholds, or above a probability, in the order of the classes."""
        likely = self.calibration.probabilities(reading.scores)
        own = self.calibration.probabilities(self.thresholds)
        # Probabilities of different scores may be equal, where they are all but sure.
        found = reading.scores > self.thresholds if threshold is None else likely > threshold
        limits = own if threshold is None else np.full_like(own, threshold)
        return [
            Label(
                self.names[i],
                float(likely[i]),
                float(limits[i]),
                locate(reading.heat[i], visible),
                reading.heat[i],
                self.zero_shot,
            )
            for i in np.flatnonzero(found)
        ]
