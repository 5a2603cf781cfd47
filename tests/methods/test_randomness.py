import pytest
import torch

from t2ipal.methods.randomness import StepRandom

CPU = torch.device("cpu")


def draws(places, total=7, seed=3):
    random = StepRandom(seed, torch.tensor(places), total, CPU)
    return [
        random.normal_rows(4),
        random.kept_rows(0.6, 5, 2),
        random.kept(0.6, 3, 2),
        random.normal_rows(2, 3),
    ]


@pytest.mark.parametrize("parts", [[[0, 1, 2, 3], [4, 5, 6, 6]], [[0, 1, 2], [3, 4, 5], [6, 6, 6]]])
def test_rows_of_ranks_put_together_are_those_of_one(parts):
    whole = draws(range(7))
    ranks = [draws(part) for part in parts]
    for i in (0, 1, 3):
        together = torch.cat([rank[i] for rank in ranks])[:7]
        assert torch.equal(together, whole[i])
    assert all(torch.equal(rank[2], whole[2]) for rank in ranks)  # what all share


def test_numbers_follow_from_the_seed_and_the_order_of_draws():
    assert all(torch.equal(a, b) for a, b in zip(draws([2]), draws([2]), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(draws(range(7)), draws(range(7), seed=4), strict=True))
    random = StepRandom(3, torch.arange(7), 7, CPU)
    assert not torch.equal(random.normal_rows(4), random.normal_rows(4))


def test_dropout_keeps_the_mean():
    random = StepRandom(0, torch.arange(100), 100, CPU)
    for kept in (random.kept_rows(0.6, 100), random.kept(0.6, 100, 100)):
        assert kept.unique().tolist() == pytest.approx([0.0, 2.5])
        assert kept.mean().item() == pytest.approx(1.0, abs=0.05)
    normal = random.normal_rows(100)
    assert normal.mean().item() == pytest.approx(0.0, abs=0.05)
    assert normal.std().item() == pytest.approx(1.0, abs=0.05)
    assert (random.kept(0.0, 5) == 1).all()
