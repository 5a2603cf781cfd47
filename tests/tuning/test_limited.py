import numpy as np
import pytest

from t2ipal.method_names import Limit
from t2ipal.tuning.limited import known_labels

N, C = 400, 6
RATES = np.array([0.01, 0.03, 0.1, 0.2, 0.4, 0.6])
LABELS = np.random.default_rng(0).random((N, C)) < RATES
IDS = [f"photo-{i}" for i in range(N)]


def known(kind, amount, seed=0, labels=LABELS, ids=IDS):
    return known_labels(labels, ids, Limit(kind, amount), seed)


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_every_class_has_as_many_photos_as_asked_for_or_all_of_its_own(count):
    told = known("shots", count)
    chosen = told.any(axis=1)
    assert (told == chosen[:, None]).all()  # of a chosen photo all labels are known, of others none
    held = LABELS[chosen].sum(axis=0)
    assert (held >= np.minimum(LABELS.sum(axis=0), count)).all()
    assert chosen.sum() <= C * count


def test_one_class_has_fewer_photos_than_are_asked_for():
    assert 1 < LABELS.sum(axis=0)[0] < 16
    assert (known("shots", 16).any(axis=1) >= LABELS[:, 0]).all()


@pytest.mark.parametrize("seed", range(8))
def test_rare_classes_choose_first(seed):
    # The only photo of class 1 holds the other two as well, which then lack nothing.
    labels = np.array([[1, 0, 0], [1, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    told = known("shots", 1, seed, labels, IDS[:4])
    assert told.any(axis=1).tolist() == [False, False, False, True]


@pytest.mark.parametrize("kind", ["shots", "labels"])
def test_it_follows_from_ids_and_seed_alone(kind):
    told = known(kind, 8)
    np.testing.assert_array_equal(told, known(kind, 8))
    turned = np.random.default_rng(1).permutation(N)
    again = known(kind, 8, labels=LABELS[turned], ids=[IDS[i] for i in turned])
    np.testing.assert_array_equal(told[turned], again)
    assert (told != known(kind, 8, seed=1)).any()
    assert (told != known(kind, 8, ids=[f"other-{i}" for i in range(N)])).any()


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_labels_are_kept_at_the_rate_asked_for(percent):
    told = known("labels", percent)
    assert told.mean() == pytest.approx(percent / 100, abs=0.03)
    # Whether it is known does not depend on the label, nor on the class, nor on the other labels of a photo.
    assert told[LABELS].mean() == pytest.approx(percent / 100, abs=0.08)
    assert np.abs(told.mean(axis=0) - percent / 100).max() < 0.08
    assert np.abs(np.corrcoef(told.T) - np.eye(C)).max() < 0.2
    np.testing.assert_array_equal(told, known("labels", percent, labels=~LABELS))


def test_what_is_known_at_one_rate_is_known_at_higher_ones():
    assert (known("labels", 30) >= known("labels", 10)).all()
