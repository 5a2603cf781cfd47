import json
from itertools import combinations

import numpy as np
import pytest

from t2ipal.captions.cooccurrence import Cooccurrence, LabelCounts, count_labels

NAMES = [f"class {i}" for i in range(12)]


@pytest.fixture(scope="module")
def counts():
    """12 classes in 3 groups that seldom meet; the first class is named far more often than the others."""
    rng = np.random.default_rng(0)
    sentences = []
    for _ in range(4000):
        group = rng.integers(3)
        weights = np.where(np.arange(12) % 3 == group, 1.0, 0.03)
        weights[0] = 3.0
        size = rng.integers(1, 4)
        sentences.append(sorted(rng.choice(12, size, replace=False, p=weights / weights.sum()).tolist()))
    return count_labels(sentences, 12)


def drawn(prior, size, number, seed=0):
    return count_labels((sorted(prior.combination(size, i, seed)) for i in range(number)), 12)


def places(pairs):
    """Return each class's share of the places in pairs."""
    return (pairs + pairs.T).sum(axis=1) / 2


def test_sentences_are_counted_by_class_and_by_pair():
    counts = count_labels([(0, 2), (2,), (), (0, 1, 2)], 3)
    assert counts.sentences == 4
    assert counts.classes.tolist() == [2, 1, 3]
    assert counts.pairs.tolist() == [[0, 1, 2], [0, 0, 1], [0, 0, 0]]


def test_balanced_shares_keep_the_odds_ratios_of_the_counts(counts):
    uniform = 1e-6
    prior = Cooccurrence.of_counts(counts, uniform, balance=1.0)
    assert prior.classes == pytest.approx(np.full(12, 1 / 12))
    assert places(prior.pairs) == pytest.approx(prior.classes, abs=1e-6)
    assert prior.pairs.sum() == pytest.approx(1.0)
    for a, b, c, d in ((0, 3, 6, 9), (1, 4, 7, 10), (0, 1, 2, 3)):
        shares, numbers = prior.pairs, counts.pairs.astype(float)
        ratio = numbers[a, b] * numbers[c, d] / numbers[a, c] / numbers[b, d]
        assert shares[a, b] * shares[c, d] / shares[a, c] / shares[b, d] == pytest.approx(ratio, rel=1e-3)


def test_without_balance_the_classes_are_as_frequent_as_in_the_counts(counts):
    prior = Cooccurrence.of_counts(counts, 1e-6, balance=0.0)
    assert prior.classes == pytest.approx(counts.classes / counts.classes.sum(), rel=1e-3)
    assert places(prior.pairs) == pytest.approx(prior.classes, abs=1e-6)
    half = Cooccurrence.of_counts(counts, 1e-6, balance=0.5).classes
    assert prior.classes[0] > half[0] > 1 / 12


def test_uniform_alone_is_any_pair_alike(counts):
    prior = Cooccurrence.of_counts(counts, 1.0, balance=1.0)
    assert prior.pairs[np.triu_indices(12, k=1)] == pytest.approx(np.full(66, 1 / 66))


@pytest.mark.parametrize("balance", [0.0, 1.0])
@pytest.mark.parametrize("number", [100, 1000, 5000])
def test_every_class_and_every_pair_has_its_share_at_every_number(counts, balance, number):
    prior = Cooccurrence.of_counts(counts, 0.1, balance)
    assert drawn(prior, 1, number).classes == pytest.approx(number * prior.classes, abs=2.5)
    pairs = drawn(prior, 2, number)
    assert pairs.pairs == pytest.approx(number * prior.pairs, abs=2.5)  # independent draws: up to 20 off


@pytest.mark.parametrize("size", [3, 4, 5])
def test_larger_combinations_have_the_shares_of_classes_and_nearly_the_pairs_of_the_prior(counts, size):
    prior = Cooccurrence.of_counts(counts, 0.1, balance=1.0, largest=size)
    found = drawn(prior, size, 5000)
    # With equal weights the first class, which meets all, would be named twice as often among 5.
    assert found.classes == pytest.approx(5000 * size * prior.classes, rel=0.05)
    above = np.triu_indices(12, k=1)
    assert np.corrcoef(found.pairs[above], prior.pairs[above])[0, 1] > 0.9


def test_a_combination_is_distinct_classes_in_random_order_by_its_number_and_the_seed(counts):
    prior = Cooccurrence.of_counts(counts, 0.1, balance=1.0, largest=12)
    for size in (1, 2, 3, 4, 12):
        combinations_drawn = [prior.combination(size, i, seed=3) for i in range(50)]
        assert {len(set(each)) for each in combinations_drawn} == {size}
        assert combinations_drawn[40:] == [prior.combination(size, i, seed=3) for i in range(40, 50)]
        assert combinations_drawn != [prior.combination(size, i, seed=4) for i in range(50)]
    pairs = [prior.combination(2, i, seed=3) for i in range(200)]
    assert 60 < sum(a < b for a, b in pairs) < 140


def test_the_same_numbers_come_back_from_a_file(counts):
    prior = Cooccurrence.of_counts(counts, 0.1, balance=0.3, largest=4)
    content = json.loads(json.dumps(prior.to_json(NAMES)))
    assert content["pairs"]["class 0"]["class 3"] > content["pairs"]["class 0"]["class 1"]
    again = Cooccurrence.from_json(content, NAMES)
    assert np.array_equal(again.classes, prior.classes)
    assert np.array_equal(again.pairs, prior.pairs)
    assert np.array_equal(again.further, prior.further)
    assert again.further.shape == (2, 12)
    with pytest.raises(KeyError, match="another"):
        Cooccurrence.from_json(content, [*NAMES[:-1], "another"])


def test_a_class_that_would_have_more_than_half_of_the_places_has_half():
    counts = LabelCounts(9, np.array([10**9, 1, 1]), np.array([[0, 5, 1], [0, 0, 0], [0, 0, 0]]))
    prior = Cooccurrence.of_counts(counts, 1e-9, balance=0.0, largest=3)
    assert places(prior.pairs)[0] == pytest.approx(0.5, abs=1e-3)
    assert {len(set(prior.combination(3, i, 0))) for i in range(10)} == {3}


def test_no_counts_at_all_are_any_pair_alike():
    prior = Cooccurrence.of_counts(count_labels([], 4), 0.1, balance=0.0)
    assert [prior.pairs[a, b] for a, b in combinations(range(4), 2)] == pytest.approx([1 / 6] * 6)
