import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from t2ipal.evaluation.metrics import average_precision, mean_average_precision


def random_case(decimals):
    generator = np.random.default_rng(decimals)
    labels = generator.random((300, 7)) < np.linspace(0.02, 0.9, 7)
    scores = (generator.normal(size=(300, 7)) + labels).round(decimals).astype(np.float32)
    return scores, labels


@pytest.mark.parametrize("decimals", [9, 1, 0])  # from no ties to a handful of different scores
def test_against_scikit_learn(decimals):
    scores, labels = random_case(decimals)
    expected = [average_precision_score(labels[:, c], scores[:, c]) for c in range(7)]
    np.testing.assert_allclose(average_precision(scores, labels), expected, rtol=0, atol=1e-9)
    assert math.isclose(mean_average_precision(scores, labels), 100 * sum(expected) / 7)


def test_ignored_pairs_are_left_out_for_their_class():
    scores, labels = random_case(1)
    ignored = np.random.default_rng(5).random(labels.shape) < 0.3
    expected = [
        average_precision_score(labels[~ignored[:, c], c], scores[~ignored[:, c], c]) for c in range(7)
    ]
    np.testing.assert_allclose(average_precision(scores, labels, ignored), expected, rtol=0, atol=1e-9)
    assert math.isclose(mean_average_precision(scores, labels, ignored), 100 * sum(expected) / 7)


def one(scores, labels, ignored=None):
    column = [np.array(each, dtype=kind)[:, None] for each, kind in ((scores, np.float32), (labels, bool))]
    ignored = None if ignored is None else np.array(ignored, dtype=bool)[:, None]
    return float(average_precision(*column, ignored)[0])


def test_cases_worked_by_hand():
    assert one([0.9, 0.8, 0.1], [1, 1, 0]) == 1.0
    assert one([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == (1 + 2 / 3) / 2
    assert one([0.9, 0.8, 0.7], [0, 0, 1]) == 1 / 3
    assert one([0.9, 0.8, 0.7], [0, 0, 1], ignored=[0, 1, 0]) == 1 / 2


def test_equal_scores_share_a_rank_whatever_the_order_of_the_images():
    assert one([0.5, 0.5], [0, 1]) == one([0.5, 0.5], [1, 0]) == 0.5
    # The first is right at 1 of 1, the next two positives are both at rank 4.
    assert one([0.9, 0.5, 0.5, 0.5], [1, 1, 0, 1]) == one([0.5, 0.5, 0.9, 0.5], [0, 1, 1, 1]) == 2.5 / 3


def test_classes_without_a_positive_are_left_out_of_the_mean():
    scores = np.array([[0.9, 0.1], [0.2, 0.3]], dtype=np.float32)
    labels = np.array([[True, False], [False, False]])
    assert math.isnan(average_precision(scores, labels)[1])
    assert mean_average_precision(scores, labels) == 100.0
    ignored = np.array([[False, True], [False, True]])
    assert math.isnan(average_precision(scores, labels, ignored)[1])
