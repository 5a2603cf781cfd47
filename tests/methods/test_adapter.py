import pytest
import torch
from torch.nn import functional

from t2ipal.methods.adapter import Adapter
from t2ipal.methods.randomness import StepRandom


def adapter(alpha, **settings):
    return Adapter(8, alpha, torch.Generator().manual_seed(0), **settings)


def features():
    return functional.normalize(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)


def random():
    return StepRandom(0, torch.tensor([0, 1]), 2, torch.device("cpu"))


def test_it_starts_at_the_features_themselves():
    torch.testing.assert_close(adapter(0.6)(features()), features())


def test_against_the_formula_written_out():
    each, x = adapter(0.25), features()
    torch.nn.init.normal_(each.up, generator=torch.Generator().manual_seed(2))
    expected = 0.25 * (torch.relu(x @ each.down.T) @ each.up.T) + 0.75 * x
    torch.testing.assert_close(each(x), expected / expected.norm(dim=-1, keepdim=True))


@pytest.mark.parametrize(("reduction", "narrow"), [(4, 2), (1, 8), (16, 1)])
def test_its_two_matrices_are_a_bottleneck(reduction, narrow):
    shapes = {name: tuple(p.shape) for name, p in adapter(0.2, reduction=reduction).named_parameters()}
    assert shapes == {"down": (narrow, 8), "up": (8, narrow)}


def test_it_drops_in_training_alone():
    each, x = adapter(0.5, reduction=1, dropout=0.5), features()[0, :2]
    torch.nn.init.normal_(each.up, generator=torch.Generator().manual_seed(2))
    plain = each(x)
    for dropping in (each.rows, each.shared):
        assert not torch.allclose(dropping(x, random()), plain)
        each.eval()
        torch.testing.assert_close(dropping(x, random()), plain)
        each.train()
