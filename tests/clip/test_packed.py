import pytest
import torch

from t2ipal.clip import load_backbone
from t2ipal.clip.packed import pack, pack_all
from t2ipal.recipe import BackboneRecipe
from tests.clip.test_text import LAYOUTS
from tests.memory import PeakMemory
from tests.tiny_clip import EMBED_DIM, tiny_backbone, write_tiny_clip

NAMES = ["fish", "red teddy bear", "house", "blue tree", "bear"]
CONTEXT = 4
SETS = 2


@pytest.fixture(params=LAYOUTS)
def backbone(request, tmp_path):
    folder = write_tiny_clip(tmp_path, "resnet", **LAYOUTS[request.param])
    return load_backbone(BackboneRecipe(model=str(folder)))


def contexts(backbone):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SETS, CONTEXT, backbone.width, generator=generator, requires_grad=True)


def one_by_one(backbone, given):
    """Every class in a sequence of its own, for one context after the other."""
    tokens = [backbone.class_tokens([name], CONTEXT) for name in NAMES]
    return torch.stack(
        [torch.cat([backbone.prompts(each[None], one, 1) for one in tokens]) for each in given]
    )


def with_gradients(encode, backbone):
    given = contexts(backbone)
    features = encode(given)
    weights = torch.randn(SETS, len(NAMES), EMBED_DIM, generator=torch.Generator().manual_seed(1))
    (features * weights).sum().backward()
    return features.detach(), given.grad


@pytest.mark.parametrize("names", [2, 5], ids=["three sequences", "one sequence"])
@pytest.mark.parametrize("held", [1, 10**4], ids=["computed again", "held"])
def test_names_in_one_sequence_are_encoded_as_each_alone(backbone, names, held, monkeypatch):
    monkeypatch.setattr("t2ipal.clip.text.PACKED", names)
    tokens = backbone.class_tokens(NAMES, CONTEXT)
    found = with_gradients(lambda given: backbone.shared_prompts(given, tokens, held), backbone)
    expected = with_gradients(lambda given: one_by_one(backbone, given), backbone)
    assert expected[1].abs().sum() > 0
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_sequence_holds_the_context_once_and_no_padding():
    tower = tiny_backbone("resnet")._text
    tokens = tower.class_tokens(NAMES, CONTEXT)
    (names,) = tokens.packed
    own = [len(name.split()) + 1 for name in NAMES]  # and the end token
    before = 1 + CONTEXT
    assert len(names.ids) == before + sum(own)
    assert names.places.tolist() == [*range(before), *(before + i for length in own for i in range(length))]
    assert names.ends.tolist() == [before + sum(own[: i + 1]) - 1 for i in range(len(own))]
    assert (names.ids[names.ends] == 16).all()


def test_a_name_sees_the_context_and_itself_alone():
    ids = torch.tensor([[1, 0, 0, 5, 9], [1, 0, 0, 6, 7]])
    names = pack(ids, torch.tensor([3, 4]), 2)
    sees = names.mask == 0
    assert names.ids.tolist() == [1, 0, 0, 5, 0, 6, 7]
    assert sees[:2].nonzero().tolist() == [[0, 0], [1, 0], [1, 1]]
    assert [row.nonzero().flatten().tolist() for row in sees[2:]] == [
        [0, 1, 2],
        [0, 1, 2, 3],
        [0, 1, 4],
        [0, 1, 4, 5],
        [0, 1, 4, 5, 6],
    ]
    assert (names.mask[~sees] == float("-inf")).all()


def test_sequences_are_no_longer_than_asked_for():
    ids, last = torch.zeros(5, 4, dtype=torch.long), torch.tensor([3, 2, 3, 3, 2])
    parts = pack_all(ids, last, 2, names=2)
    assert [len(part.ends) for part in parts] == [2, 2, 1]


def test_only_what_is_held_grows_with_the_classes():
    backbone = tiny_backbone("resnet")

    def most(count, held):
        tokens = backbone.class_tokens((NAMES * 200)[: 128 * count], CONTEXT)
        with PeakMemory() as memory:
            backbone.shared_prompts(contexts(backbone), tokens, held).sum().backward()
        return memory.most

    one, four, four_held = most(1, 1), most(4, 1), most(4, 10**6)
    assert four - one < (four_held - one) / 3
