import numpy as np

from t2ipal.evaluation.thresholds import above, best_f1_thresholds, known_f1_thresholds


def f1(scores, labels, threshold):
    taken = scores > threshold
    return 2 * (taken & labels).sum() / (taken.sum() + labels.sum())


def test_no_other_threshold_has_a_better_f1():
    generator = np.random.default_rng(0)
    labels = generator.random((120, 5)) < 0.3
    scores = (generator.normal(size=(120, 5)) + labels).round(1).astype(np.float32)  # rounded: many ties
    for c, threshold in enumerate(best_f1_thresholds(scores, labels)):
        candidates = [scores[:, c].min() - 1, *(scores[:, c] - 0.05), *scores[:, c]]
        best = max(f1(scores[:, c], labels[:, c], each) for each in candidates)
        assert f1(scores[:, c], labels[:, c], threshold) == best


def test_a_threshold_lies_half_way():
    scores = np.array([[3.0], [2.0], [1.0]], dtype=np.float32)
    assert best_f1_thresholds(scores, np.array([[True], [False], [False]])).tolist() == [2.5]


def test_where_every_image_holds_the_class_all_are_taken():
    scores = np.array([[3.0], [2.0]], dtype=np.float32)
    threshold = best_f1_thresholds(scores, np.array([[True], [True]]))
    assert above(scores, threshold) == [[0], [0]]


def test_a_class_that_no_image_holds_asks_for_more_than_any_of_them():
    scores = np.array([[3.0], [2.0]], dtype=np.float32)
    assert best_f1_thresholds(scores, np.zeros((2, 1), dtype=bool)).tolist() == [3.0]


def test_above_gives_class_indices():
    assert above(np.array([[1.0, 5.0], [0.0, 0.0]]), np.array([0.5, 4.0])) == [[0, 1], []]


def test_only_known_labels_count():
    scores = np.array([[4, 1], [3, 2], [3, 9], [3, 3], [2, 0], [1, 5]], dtype=np.float32)
    labels = np.array([[1, 0], [0, 1], [0, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)
    known = np.array([[1, 0], [0, 0], [0, 0], [0, 0], [1, 0], [1, 0]], dtype=bool)
    # Of class 0 the three images in the middle, which would be mistakes, are not seen; of class 1 nothing is.
    assert known_f1_thresholds(scores, labels, known).tolist() == [1.5, 9.0]
    everything = np.ones_like(known)
    np.testing.assert_array_equal(
        known_f1_thresholds(scores, labels, everything), best_f1_thresholds(scores, labels)
    )
