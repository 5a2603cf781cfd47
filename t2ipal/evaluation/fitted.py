"""What a recognizer's answers take from the images that it is tuned on: standardisation, thresholds,
calibration, the range of its scores.

Nobody annotated a real image, so all are fitted on painted ones; all but the standardisation on those that
were kept from tuning. What learns from labelled photos has its own from these, and from the labels that it
may know. Shapes: N images, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.metrics import Scores
from t2ipal.evaluation.scoring import Scored, score_table
from t2ipal.evaluation.thresholds import known_f1_thresholds
from t2ipal.methods.base import Method
from t2ipal.methods.fusion import Range
from t2ipal.methods.standardise import Standardisation
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.limited import Known
from t2ipal.tuning.load import image_keys
from t2ipal.tuning.source import is_held_out, source_shards
from t2ipal.vocabulary import Vocabulary


@dataclass(frozen=True)
class Fitted:
    """Thresholds of scores, in the order of the classes, and the calibration of the same scores."""

    thresholds: NDArray[np.float64]  # [C]
    calibration: Calibration
    standardisation: Standardisation | None = None  # of the scores, before both
    range: Range | None = None  # of the scores, before fusing

    def to_json(self) -> dict[str, Any]:
        """Plain data; without the standardisation, which no tuned method has."""
        return {
            "thresholds": self.thresholds.tolist(),
            "calibration": self.calibration.to_json(),
            "range": self.range,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Thresholds and calibration of what `to_json` gave."""
        return cls(np.array(data["thresholds"]), Calibration.from_json(data["calibration"]))


def fit(
    recipe: Recipe,
    run: Store,
    method: Method,
    table: str,
    standardise: bool = False,
    known: Known | None = None,
) -> Fitted:
    """Fit them for a tuned method on the table that it was tuned on; of its labels only those that are
    `known`, where that is said. The standardisation is that of all its images, without their labels.
    """
    classes = len(Vocabulary.load(recipe.vocabulary))
    seen = score_table(method, classes, run.shards(table), source_shards(recipe, run, table))
    held, told = _held_out(seen, recipe, table), np.ones_like(seen.labels)
    if known is not None:
        # As in tuning, which does not have what is held out: no shot may be spent on it.
        told = known(seen.labels & ~held[:, None], seen.ids)
    used = told.any(axis=1)
    standardisation = Standardisation.fit(torch.from_numpy(seen.scores[used])) if standardise else None
    # A small run, or its recipe, may have held nothing out, and shots are never held out.
    rows = used & held if (used & held).any() else used
    scores, labels, told = standardised(seen.scores[rows], standardisation), seen.labels[rows], told[rows]
    return Fitted(
        known_f1_thresholds(scores, labels, told),
        Calibration.fit(scores, labels, told),
        standardisation,
        Range.of(seen.scores[rows]),
    )


def standardised(scores: Scores, standardisation: Standardisation | None) -> Scores:
    """Scores [N, C] as a method's name asks for them."""
    if standardisation is None:
        return scores
    result: Scores = standardisation(torch.from_numpy(scores)).numpy()
    return result


def _held_out(seen: Scored, recipe: Recipe, table: str) -> NDArray[np.bool_]:
    """Which images were kept from tuning."""
    return np.array([is_held_out(key, recipe) for key in image_keys(seen.ids, table)])
