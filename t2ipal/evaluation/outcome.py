"""What one recognizer says about a test set, and how good that is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from t2ipal.evaluation.fitted import Fitted, standardised
from t2ipal.evaluation.metrics import Scores
from t2ipal.evaluation.report import measure
from t2ipal.evaluation.scoring import Scored, score_table
from t2ipal.evaluation.thresholds import above
from t2ipal.methods.base import Method
from t2ipal.shards import Shards
from t2ipal.tables import PREDICTIONS


@dataclass(frozen=True)
class Outcome:
    """Scores of the test images, as thresholds and calibration are meant for them."""

    test: Scored
    fitted: Fitted

    def predictions(self) -> pa.Table:
        """A row per image (schema PREDICTIONS)."""
        found = above(self.test.scores, self.fitted.thresholds)
        return pa.table([self.test.ids, _lists(self.test.scores), found], schema=PREDICTIONS)

    def figures(self, classes: Sequence[str]) -> dict[str, Any]:
        """What `report.measure` says of them."""
        test = self.test
        return measure(
            test.scores,
            test.parts,
            test.labels,
            classes,
            self.fitted.thresholds,
            self.fitted.calibration,
            test.ignored,
        )


def assess(method: Method, fitted: Fitted, classes: int, shards: Shards, names: Sequence[str]) -> Outcome:
    """Score shards of test features. Their labels are used for figures alone."""
    scored = score_table(method, classes, shards, names)
    return Outcome(replace(scored, scores=standardised(scored.scores, fitted.standardisation)), fitted)


def _lists(scores: Scores) -> pa.Array:
    """A list per row of [N, C]. As lists of Python's own, those of a large test set take gigabytes."""
    images, classes = scores.shape
    ends = pa.array(classes * np.arange(images + 1), pa.int32())
    return pa.ListArray.from_arrays(ends, pa.array(scores.ravel(), pa.float32()))
