import pytest
import torch

from t2ipal.clip import text
from t2ipal.clip.text import TextTower
from t2ipal.methods import prompts
from t2ipal.methods.prompts import ContrastedPrompts, Prompts
from tests.methods.given import units
from tests.tiny_clip import tiny_backbone
from tests.tuning.tiny_set import NAMES

KINDS = {
    "shared": lambda backbone, generator: Prompts(backbone, NAMES, 4, generator),
    "contrasted": lambda backbone, generator: ContrastedPrompts(backbone, NAMES, 4, False, generator),
    "of each class": lambda backbone, generator: ContrastedPrompts(backbone, NAMES, 4, True, generator),
}


def prompts_encoded(given):
    """How many prompts a call of the text tower is about: of one context each, or of all contexts."""
    return len(given[1]) if len(given) == 3 else len(given[1]) * len(given[3].ends)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_go_through_the_text_tower_in_chunks(kind, monkeypatch):
    gradients, seen = [], []
    for name in ("prompts", "packed_prompts"):
        encode = getattr(TextTower, name)
        monkeypatch.setattr(
            TextTower,
            name,
            lambda *given, encode=encode: seen.append(prompts_encoded(given)) or encode(*given),
        )
    for chunk in (3, 2):
        monkeypatch.setattr(prompts, "TOKENS", 8 * chunk)  # begin, context, two of a name, end
        monkeypatch.setattr(text, "PACKED", chunk)
        learned = KINDS[kind](tiny_backbone("resnet"), torch.Generator().manual_seed(0)).train()
        features = learned()
        once = [[3, 3], [2, 1, 2, 1]] if kind == "of each class" else [[6], [4, 2]]
        assert seen == once[3 - chunk]
        sum((each * units(2, 3)).sum() for each in features).backward()
        gradients.append([each.grad for each in learned.parameters()])
        seen.clear()
    for whole, parts in zip(*gradients, strict=True):
        largest = float(whole.abs().max())
        assert largest > 0
        torch.testing.assert_close(parts, whole, atol=1e-5 * largest, rtol=1e-5)
