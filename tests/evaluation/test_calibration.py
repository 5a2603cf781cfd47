import json

import numpy as np
import pytest
from scipy.special import expit

from t2ipal.evaluation.calibration import Calibration, expected_calibration_error


def simulated(slope, intercept, images, seed=0):
    generator = np.random.default_rng(seed)
    scores = (3 + 0.2 * generator.normal(size=(images, len(slope)))).astype(np.float32)
    return scores, generator.random(scores.shape) < expit(np.array(slope) * scores + np.array(intercept))


def test_the_line_that_made_the_labels_is_found():
    slope, intercept = [8.0, 2.0], [-25.0, -6.5]
    scores, labels = simulated(slope, intercept, 100_000)
    found = Calibration.fit(scores, labels)
    np.testing.assert_allclose(found.slope, slope, rtol=0.05)
    np.testing.assert_allclose(found.intercept, intercept, rtol=0.05)
    fresh, truth = simulated(slope, intercept, 100_000, seed=1)
    assert expected_calibration_error(found.probabilities(fresh), truth) < 0.01


def test_nothing_is_left_of_the_gradient():
    scores, labels = simulated([8.0], [-25.0], 200)
    found = Calibration.fit(scores, labels)
    held = labels.sum()
    target = np.where(labels, (held + 1) / (held + 2), 1 / (200 - held + 2))
    error = found.probabilities(scores) - target
    assert abs(error.mean()) < 1e-7
    assert abs((error * (scores - scores.mean())).mean()) < 1e-7


def test_a_rare_class_gets_the_line_of_all_together():
    scores, labels = simulated([8.0, 8.0, 8.0], [-25.0] * 3, 400)
    labels[:, 2] &= labels[:, 2].cumsum() <= 9
    found = Calibration.fit(scores, labels)
    together = Calibration.fit(scores.reshape(-1, 1), labels.reshape(-1, 1))
    assert (found.slope[2], found.intercept[2]) == (together.slope[0], together.intercept[0])
    assert found.slope[0] != found.slope[1] != found.slope[2]


def test_labels_that_a_threshold_parts_keep_the_line_finite():
    scores = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    found = Calibration.fit(scores, scores > 0)
    assert 1 < found.slope[0] < 1000
    assert 0.5 < found.probabilities(scores[-1:])[0, 0] < 1


def test_a_higher_score_never_means_less():
    scores, labels = simulated([8.0], [-25.0], 400)
    found = Calibration.fit(-scores, labels)
    assert found.slope.tolist() == [0.0]
    assert found.probabilities(scores)[0, 0] == pytest.approx(labels.mean(), abs=0.01)


def test_scores_that_are_all_equal_give_the_share_of_positives():
    labels = np.arange(100)[:, None] < 30
    found = Calibration.fit(np.full((100, 1), 7.0, dtype=np.float32), labels)
    assert found.probabilities(np.array([[7.0]]))[0, 0] == pytest.approx(0.3, abs=0.01)


def test_it_survives_json():
    calibration = Calibration(np.array([1.5, 2.0]), np.array([-0.1, 0.3]))
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    scores = np.array([[0.2, 0.7]], dtype=np.float32)
    assert again.probabilities(scores).tolist() == calibration.probabilities(scores).tolist()
    assert calibration.probabilities(np.zeros((1, 2)))[0].tolist() == pytest.approx(
        [1 / (1 + np.exp(0.1)), 1 / (1 + np.exp(-0.3))]
    )


def test_the_calibration_error_worked_by_hand():
    # Bins of 1/15: 0.01 and 0.05 are in the first (mean 0.03, one of two true), 0.8 and 0.9 in two of the
    # last, 0.95 and 1.0 in the last.
    stated = np.array([[0.01, 0.05], [0.8, 0.9], [0.95, 1.0]])
    true = np.array([[False, True], [True, False], [True, True]])
    expected = (2 * 0.47 + 0.2 + 0.9 + 0.05) / 6
    assert expected_calibration_error(stated, true) == pytest.approx(expected)


def test_only_known_labels_count():
    scores, labels = simulated([8.0, 2.0, 8.0], [-25.0, -6.5, -25.0], 600)
    labels[:, 2] = False  # a class that gets the line of all together
    known = np.random.default_rng(2).random(labels.shape) < 0.7
    found = Calibration.fit(scores, labels, known)
    again = Calibration.fit(scores, labels ^ ~known, known)
    np.testing.assert_array_equal(found.slope, again.slope)
    alone = Calibration.fit(scores[known[:, :1].ravel()], labels[known[:, :1].ravel()])
    np.testing.assert_allclose(found.slope[0], alone.slope[0])
