"""What a recognizer's answers take from the images that it is tuned on: standardisation, thresholds,
calibration, the range of its scores.

Nobody annotated a real image, so all are fitted on painted ones; all but the standardisation on those that
were kept from tuning. What learns from labelled photos has its own from these, and from the labels that it
may know. Shapes: N images, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from t2ipal.clip.feature_tables import read_labels
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.metrics import Labels, Scores
from t2ipal.evaluation.scoring import score_table
from t2ipal.evaluation.thresholds import known_f1_thresholds
from t2ipal.methods.base import Method
from t2ipal.methods.fusion import Range
from t2ipal.methods.standardise import Standardisation
from t2ipal.recipe import Recipe
from t2ipal.shards import Shards
from t2ipal.store import Store
from t2ipal.tuning.agreement import left_out
from t2ipal.tuning.limited import Known
from t2ipal.tuning.source import image_keys, is_crop, is_held_out, source_shards
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
    `known`, where that is said. The standardisation is that of all its images, without their labels. No
    image is scored that nothing is taken from.
    """
    shards, names = run.shards(table), source_shards(recipe, run, table)
    classes = len(Vocabulary.load(recipe.vocabulary))
    ids, labels = _ids_and_labels(shards, names, classes)
    held = np.array([is_held_out(key, recipe) for key in image_keys(ids, table)])
    # As in tuning, which does not have what is held out: no shot may be spent on it.
    told = np.ones_like(labels) if known is None else known(labels & ~held[:, None], ids)
    without = left_out(recipe, run, table)
    # What is to be recognised are whole images.
    whole = [name not in without and not is_crop(name, table) for name in ids]
    used = np.any(told, axis=1) & np.array(whole, dtype=bool)
    # A small run, or its recipe, may have held nothing out, and shots are never held out.
    fitting = used & held if (used & held).any() else used
    scored = used if standardise else fitting
    seen = score_table(method, classes, shards, names, scored).scores
    standardisation = Standardisation.fit(torch.from_numpy(seen)) if standardise else None
    seen = seen[fitting[scored]]
    scores, labels, told = standardised(seen, standardisation), labels[fitting], told[fitting]
    return Fitted(
        known_f1_thresholds(scores, labels, told),
        Calibration.fit(scores, labels, told),
        standardisation,
        Range.of(seen),
    )


def standardised(scores: Scores, standardisation: Standardisation | None) -> Scores:
    """Scores [N, C] as a method's name asks for them."""
    if standardisation is None:
        return scores
    result: Scores = standardisation(torch.from_numpy(scores)).numpy()
    return result


def _ids_and_labels(shards: Shards, names: Sequence[str], classes: int) -> tuple[list[str], Labels]:
    """Of all images, without their features; labels are [N, C]."""
    rows = pa.concat_tables(shards.read(name, ["image_id", "labels"]) for name in names)
    return rows["image_id"].to_pylist(), read_labels(rows, classes).numpy()
