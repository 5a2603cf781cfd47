from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from t2ipal.evaluation.calibration import expected_calibration_error
from t2ipal.evaluation.curves import POINTS, precision_recall, reliability, spread


def drawn(images=400, classes=3, seed=0):
    random = np.random.default_rng(seed)
    labels = random.random((images, classes)) < 0.3
    return (random.normal(size=labels.shape) + labels).astype(np.float32), labels


def test_points_of_the_curve_are_those_of_scikit_learn():
    scores, labels = drawn()
    curve = precision_recall(scores[:, 0], labels[:, 0])
    precision, recall, _ = precision_recall_curve(labels[:, 0], scores[:, 0])
    known = {(round(r, 9), round(p, 9)) for r, p in zip(recall.tolist(), precision.tolist(), strict=True)}
    assert {(round(r, 9), round(p, 9)) for r, p in zip(curve.x, curve.y, strict=True)} <= known
    assert 40 < len(curve.x) <= POINTS
    assert list(curve.x) == sorted(curve.x)
    assert curve.x[-1] == 1.0
    assert np.diff(curve.x).max() < 0.05


def test_few_positives_have_all_their_points():
    curve = precision_recall(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    assert (curve.x, curve.y) == ((0.5, 1.0), (1.0, 2 / 3))


def test_equal_scores_are_taken_together():
    curve = precision_recall(np.array([0.5, 0.5, 0.5, 0.1]), np.array([True, False, False, True]))
    assert (curve.x, curve.y) == ((0.5, 1.0), (1 / 3, 0.5))


def test_all_pairs_together_and_a_class_without_a_positive():
    scores, labels = drawn()
    every = precision_recall(scores, labels)
    assert every == precision_recall(scores.ravel(), labels.ravel())
    assert precision_recall(scores[:, 0], np.zeros(len(scores), dtype=bool)) is None


def test_the_bins_add_up_to_the_calibration_error():
    scores, labels = drawn()
    probabilities = 1 / (1 + np.exp(-scores.astype(np.float64)))
    bins = reliability(probabilities, labels)
    assert sum(each.pairs for each in bins) == labels.size
    error = sum(each.pairs * abs(each.stated - each.true) for each in bins) / labels.size
    assert error == pytest.approx(expected_calibration_error(probabilities, labels))
    assert all(a.stated < b.stated for a, b in pairwise(bins))


def test_sure_answers_are_in_the_last_bin():
    (low, high) = reliability(np.array([[0.0, 1.0]]), np.array([[False, True]]))
    assert (low.stated, low.true, low.pairs) == (0.0, 0.0, 1)
    assert (high.stated, high.true, high.pairs) == (1.0, 1.0, 1)


def test_histograms_are_shares_of_their_kind():
    scores, labels = drawn()
    found = spread(scores[:, 0], labels[:, 0], (-5.0, 5.0), bins=10)
    assert len(found.edges) == 11
    assert sum(found.held) == pytest.approx(1)
    assert sum(found.free) == pytest.approx(1)
    middles = np.array(found.edges[:-1]) + 0.5
    assert np.dot(middles, found.held) > np.dot(middles, found.free) + 0.5


def test_histograms_of_one_score_and_of_no_image_with_the_class():
    found = spread(np.full(4, 2.0, dtype=np.float32), np.zeros(4, dtype=bool), (2.0, 2.0))
    assert sum(found.held) == 0
    assert sum(found.free) == 1
    assert found.edges[0] < 2.0 < found.edges[-1]
