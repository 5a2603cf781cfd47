import numpy as np
import pytest

from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.fitted import Fitted
from t2ipal.evaluation.outcome import Outcome
from t2ipal.evaluation.scoring import Scored
from t2ipal.tables import PREDICTIONS


@pytest.mark.parametrize("images", [0, 1, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_predictions_hold_a_list_of_scores_for_each_image(images, order):
    scores = np.random.default_rng(0).normal(size=(images, 3)).astype(np.float32, order=order)
    nothing, thresholds = np.zeros((images, 3), dtype=bool), np.array([0.1, -0.2, 0.0])
    calibration = Calibration(np.ones(3), np.zeros(3))
    ids = [f"image-{n}" for n in range(images)]
    outcome = Outcome(Scored(ids, scores, {}, nothing, nothing), Fitted(thresholds, calibration))
    table = outcome.predictions()
    assert table.schema.equals(PREDICTIONS)
    assert table["image"].to_pylist() == ids
    assert table["scores"].to_pylist() == scores.tolist()
    assert table["labels"].to_pylist() == [np.flatnonzero(row > thresholds).tolist() for row in scores]
