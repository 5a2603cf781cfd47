import pytest
import torch

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


@pytest.mark.parametrize("kind", KINDS)
def test_classes_go_through_the_text_tower_in_chunks(kind, monkeypatch):
    gradients, seen, encode = [], [], TextTower.prompts
    monkeypatch.setattr(TextTower, "prompts", lambda *given: seen.append(len(given[2].ids)) or encode(*given))
    for chunk in (3, 2):
        monkeypatch.setattr(prompts, "CHUNK", chunk)
        learned = KINDS[kind](tiny_backbone("resnet"), torch.Generator().manual_seed(0)).train()
        features = learned()
        assert seen == ([3, 3] if chunk == 3 else [2, 1, 2, 1])
        sum((each * units(2, 3)).sum() for each in features).backward()
        gradients.append([each.grad for each in learned.parameters()])
        seen.clear()
    for whole, parts in zip(*gradients, strict=True):
        assert whole.abs().sum() > 0
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)
