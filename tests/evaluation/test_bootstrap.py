import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from t2ipal.evaluation import bootstrap
from t2ipal.evaluation.bootstrap import difference, resampled_map
from t2ipal.evaluation.metrics import mean_average_precision


def simulated(generator, images, strengths, classes=3):
    """Labels, and scores of methods that know them more or less well; all find the same images hard."""
    labels = generator.random((images, classes)) < 0.3
    shared = generator.normal(size=labels.shape)
    tables = [shared + each * labels + 0.5 * generator.normal(size=labels.shape) for each in strengths]
    return labels, [table.round(1).astype(np.float32) for table in tables]


def paired_interval(ours, theirs, labels, resamples, seed=0, level=0.95):
    """The difference ours - theirs of two methods, each with the scores of its seeds."""
    first, second = (resampled_map(each, labels, resamples, seed) for each in (ours, theirs))
    return difference(first, second, level)


def by_loop(tables, labels, resamples, seed):
    """The same by the definition: draw the images, and ask scikit-learn about each class and seed."""
    values = []
    for number in range(resamples):
        drawn = np.random.default_rng([seed, number]).integers(len(labels), size=len(labels))
        held = [c for c in range(labels.shape[1]) if labels[drawn, c].any()]
        found = [average_precision_score(labels[drawn, c], table[drawn, c]) for table in tables for c in held]
        values.append(100 * np.mean(found))
    return np.array(values)


@pytest.mark.parametrize("images", [40, 300])  # weights of one byte and of two
def test_against_a_plain_loop(images, monkeypatch):
    labels, tables = simulated(np.random.default_rng(0), images, [0.5, 1.0, 1.5], classes=4)
    labels[:, 2] = np.arange(images) == 7  # in a third of the resamples nobody holds it
    labels[:, 3] = False
    tables[0][7, 2] = -9  # all images are in the sum before it
    found = resampled_map(tables, labels, resamples=50, seed=3)
    np.testing.assert_allclose(found.resamples, by_loop(tables, labels, 50, 3), rtol=0, atol=1e-9)
    assert found.value == pytest.approx(np.mean([mean_average_precision(each, labels) for each in tables]))
    monkeypatch.setattr(bootstrap, "BATCH", 7)
    again = resampled_map(tables, labels, 50, 3).resamples
    np.testing.assert_allclose(again, found.resamples, rtol=0, atol=1e-9)


def test_the_interval_is_of_the_paired_differences():
    labels, tables = simulated(np.random.default_rng(1), 200, [1.5, 1.4, 1.0])
    found = paired_interval(tables[:2], tables[2:], labels, resamples=100, seed=5, level=0.8)
    gaps = by_loop(tables[:2], labels, 100, 5) - by_loop(tables[2:], labels, 100, 5)
    assert found[1:] == pytest.approx((np.quantile(gaps, 0.1), np.quantile(gaps, 0.9)), abs=1e-9)
    ours, theirs, other = (mean_average_precision(tables[i], labels) for i in (0, 2, 1))
    assert found.difference == pytest.approx((ours + other) / 2 - theirs)
    assert found == paired_interval(tables[:2], tables[2:], labels, resamples=100, seed=5, level=0.8)
    assert found != paired_interval(tables[:2], tables[2:], labels, resamples=100, seed=6, level=0.8)


def test_a_method_does_not_differ_from_itself():
    labels, tables = simulated(np.random.default_rng(2), 50, [1.0])
    assert paired_interval(tables, tables, labels, resamples=20) == (0.0, 0.0, 0.0)


def test_resamples_without_any_positive_are_left_out():
    labels = np.array([[True], [False], [False]])
    scores = np.array([[2.0], [3.0], [1.0]], dtype=np.float32)
    one = resampled_map([scores], labels, resamples=100)
    assert 10 < np.isnan(one.resamples).sum() < 60  # (2/3)^3 of them
    assert difference(one, resampled_map([-scores], labels, resamples=100)).low <= 0


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    generator = np.random.default_rng(4)
    labels, (ours, theirs) = simulated(generator, 200_000, [1.2, 1.0])
    truth = mean_average_precision(ours, labels) - mean_average_precision(theirs, labels)
    covered = 0
    for _ in range(100):
        labels, (ours, theirs) = simulated(generator, 200, [1.2, 1.0])
        found = paired_interval([ours], [theirs], labels, resamples=200)
        covered += found.low <= truth <= found.high
    assert 87 <= covered <= 99


def test_without_pairs_the_interval_would_be_wider():
    labels, (ours, theirs) = simulated(np.random.default_rng(6), 300, [1.2, 1.0])
    paired = paired_interval([ours], [theirs], labels, resamples=300)
    apart = difference(resampled_map([ours], labels, 300, 0), resampled_map([theirs], labels, 300, 1))
    assert apart.high - apart.low > 1.5 * (paired.high - paired.low)
