import torch
from torch.nn import functional

from t2ipal.methods.adapter import Adapter


def adapter(alpha):
    return Adapter(8, alpha, torch.Generator().manual_seed(0))


def features():
    return functional.normalize(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)


def test_it_starts_at_the_features_themselves():
    torch.testing.assert_close(adapter(0.6)(features()), features())


def test_against_the_formula_written_out():
    each, x = adapter(0.25), features()
    torch.nn.init.normal_(each.up, generator=torch.Generator().manual_seed(2))
    expected = 0.25 * (torch.relu(x @ each.down.T) @ each.up.T) + 0.75 * x
    torch.testing.assert_close(each(x), expected / expected.norm(dim=-1, keepdim=True))


def test_its_two_matrices_are_a_bottleneck():
    assert {name: tuple(p.shape) for name, p in adapter(0.2).named_parameters()} == {
        "down": (2, 8),
        "up": (8, 2),
    }
