"""Tuned parameters as a bundle keeps them: the same answers from fewer numbers."""

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load, save

from t2ipal.method_names import ABLATIONS, TUNED, WITHOUT
from t2ipal.tuning.loop import tune
from tests.methods.given import images
from tests.tuning.tiny_set import PIXELS, tiny_method, tiny_set, tiny_settings

NAMES = [
    *TUNED,
    *(f"{name}{WITHOUT}{part}" for name, parts in ABLATIONS.items() for part in parts),
    "supervised",
]
CACHE = {"t2i_pal": {"adapter": "cache"}}


def tuned(name, settings):
    method = tiny_method(name, settings)
    tune(method, tiny_set(), 0, Accelerator(cpu=True), lambda checkpoint: None)
    return method.eval()


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        *((name, {}) for name in NAMES),
        ("t2i_pal", CACHE),
        ("pvp", {"pvp": PIXELS}),
        ("t2i_pal_pvp", {"pvp": PIXELS}),
        ("t2i_pal_pvp", CACHE),
        ("t2i_pal_pvp-without-pvp", CACHE),
        ("t2i_pal_pvp", {"pvp": {"visual_prompts": False}}),
    ],
    ids=str,
)
def test_what_is_exported_gives_the_same_answers(name, sections):
    settings = tiny_settings(epochs=1, **sections)
    method = tuned(name, settings)
    file = save(method.export())
    again = tiny_method(name, settings, seed=7, exported=True)
    assert again.load_state_dict(load(file)).missing_keys == []
    again.eval()
    parts = method.parts(images())
    found = again.parts(images())
    assert found.keys() == parts.keys()
    for part, scores in found.items():
        torch.testing.assert_close(scores, parts[part], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(again.scores(images()), method.scores(images()), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(again.heatmap(images()), method.heatmap(images()), atol=1e-6, rtol=1e-6)


def test_of_pseudo_images_only_the_features_are_kept():
    settings = tiny_settings(epochs=1, pvp=PIXELS)
    for name, module in (("pvp", "visual"), ("t2i_pal_pvp", "judge.visual")):
        method = tiny_method(name, settings)
        kept = method.export()
        assert kept.keys() == dict(method.named_parameters()).keys()
        assert kept[f"{module}.whole"].shape == kept[f"{module}.local"].shape == (3, 24)
        assert all(value.device.type == "cpu" and not value.requires_grad for value in kept.values())
