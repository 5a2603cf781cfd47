import math

import numpy as np

from t2ipal.evaluation.metrics import average_precision, mean_average_precision


def naive(scores, labels):
    """Average precision of one class by the definition, in steps."""
    ranked = [label for _, label in sorted(zip(-scores, labels, strict=True), key=lambda pair: pair[0])]
    found, precisions = 0, []
    for rank, label in enumerate(ranked, 1):
        if label:
            found += 1
            precisions.append(found / rank)
    return sum(precisions) / len(precisions)


def test_against_the_definition():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(200, 7)).astype(np.float32)
    labels = generator.random((200, 7)) < np.linspace(0.02, 0.9, 7)
    expected = [naive(scores[:, c], labels[:, c]) for c in range(7)]
    np.testing.assert_allclose(average_precision(scores, labels), expected, rtol=1e-12)
    assert math.isclose(mean_average_precision(scores, labels), 100 * sum(expected) / 7)


def one(scores, labels):
    return float(average_precision(np.array(scores)[:, None], np.array(labels, dtype=bool)[:, None])[0])


def test_cases_worked_by_hand():
    assert one([0.9, 0.8, 0.1], [1, 1, 0]) == 1.0
    assert one([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == (1 + 2 / 3) / 2  # scikit-learn's own example
    assert one([0.9, 0.8, 0.7], [0, 0, 1]) == 1 / 3
    assert one([0.5, 0.5], [0, 1]) == 0.5  # ties keep the order of the images


def test_classes_without_a_positive_are_left_out_of_the_mean():
    scores = np.array([[0.9, 0.1], [0.2, 0.3]], dtype=np.float32)
    labels = np.array([[True, False], [False, False]])
    assert math.isnan(average_precision(scores, labels)[1])
    assert mean_average_precision(scores, labels) == 100.0
