import pytest
import torch

from t2ipal.clip.chunks import in_parts
from tests.memory import PeakMemory
from tests.methods.given import units
from tests.tiny_clip import TOWERS, tiny_backbone

NAMES = ["fish", "teddy bear", "house", "tree"]


def pixels(backbone, count):
    return (count, 3, *backbone.input_size), lambda given, chunk: backbone.encode(given, True, chunk)


def of_classes(backbone, count):
    names = (NAMES * count)[:count]
    tokens = backbone.class_tokens(names, 4)
    return (count, 4, backbone.width), lambda given, chunk: backbone.prompts(given, tokens, chunk)


INPUTS = pytest.mark.parametrize("inputs", [pixels, of_classes])


def passed(inputs, backbone, count, chunk):
    """The features of random inputs, and the gradients of them."""
    shape, encode = inputs(backbone, count)
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    features = encode(given, chunk)
    (features * units(1, count)).sum().backward()
    return features.detach(), given.grad


@INPUTS
@pytest.mark.parametrize("tower", TOWERS)
def test_chunks_give_the_features_and_the_gradients_of_the_whole(inputs, tower):
    whole = passed(inputs, tiny_backbone(tower), 5, 5)
    assert whole[1].abs().sum() > 0
    for chunk in (2, 1):
        for found, expected in zip(passed(inputs, tiny_backbone(tower), 5, chunk), whole, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@INPUTS
def test_chunks_need_the_memory_of_one(inputs):
    def most(count, chunk):
        with PeakMemory() as memory:
            passed(inputs, tiny_backbone("resnet"), count, chunk)
        return memory.most

    whole, one, many = most(64, 64), most(4, 4), most(64, 4)
    # Of further chunks only what goes in and comes out is held, and its gradients.
    assert many - one < (whole - one) / 4


@pytest.mark.parametrize(("parts", "held", "computed"), [(1, 0, 1), (4, 0, 8), (4, 3, 5), (4, 9, 4)])
def test_what_is_held_is_computed_once(parts, held, computed):
    seen = []

    def cubed(row):
        seen.append(row)
        return row**3

    given = torch.arange(1.0, parts + 1).requires_grad_()
    in_parts(cubed, [[row] for row in given.split(1)], held).sum().backward()
    assert len(seen) == computed
    torch.testing.assert_close(given.grad, 3 * given.detach() ** 2)
