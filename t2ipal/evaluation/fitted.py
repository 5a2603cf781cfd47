"""What a recognizer's answers take from synthetic images: standardisation, thresholds, calibration.

Nobody annotated a real image, so all three are fitted on painted ones; thresholds and calibration on those
that were kept from tuning. Shapes: N images, C classes.
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
from t2ipal.evaluation.thresholds import best_f1_thresholds
from t2ipal.methods.base import Method
from t2ipal.methods.standardise import Standardisation
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.load import image_keys
from t2ipal.tuning.source import is_held_out, source_shards
from t2ipal.vocabulary import Vocabulary


@dataclass(frozen=True)
class Fitted:
    """Thresholds of scores, in the order of the classes, and the calibration of the same scores."""

    thresholds: NDArray[np.float64]  # [C]
    calibration: Calibration
    standardisation: Standardisation | None = None  # of the scores, before both

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads; without the standardisation, which no tuned method has."""
        return {"thresholds": self.thresholds.tolist(), "calibration": self.calibration.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(np.array(data["thresholds"]), Calibration.from_json(data["calibration"]))


def fit(recipe: Recipe, run: Store, method: Method, table: str, standardise: bool = False) -> Fitted:
    """Fit them for a tuned method on the table that it was tuned on; statistics of the standardisation are
    those of all its images, whose labels are not looked at.
    """
    classes = len(Vocabulary.load(recipe.vocabulary))
    seen = score_table(method, classes, run.shards(table), source_shards(recipe, run, table))
    standardisation = Standardisation.fit(torch.from_numpy(seen.scores)) if standardise else None
    held = _held_out(seen, recipe, table)
    scores, labels = standardised(seen.scores[held], standardisation), seen.labels[held]
    return Fitted(best_f1_thresholds(scores, labels), Calibration.fit(scores, labels), standardisation)


def standardised(scores: Scores, standardisation: Standardisation | None) -> Scores:
    """Scores [N, C] as a method's name asks for them."""
    if standardisation is None:
        return scores
    result: Scores = standardisation(torch.from_numpy(scores)).numpy()
    return result


def _held_out(seen: Scored, recipe: Recipe, table: str) -> NDArray[np.bool_]:
    """Which images were kept from tuning; all of them where a small run, or its recipe, kept none."""
    held = np.array([is_held_out(key, recipe) for key in image_keys(seen.ids, table)])
    return held if held.any() else np.ones_like(held)
