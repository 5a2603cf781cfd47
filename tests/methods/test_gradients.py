"""What learns in each phase of each method, and that nothing else changes."""

import pytest
import torch
from accelerate import Accelerator

from t2ipal.method_names import ABLATIONS, TUNED, WITHOUT
from t2ipal.methods.adapter import Adapter
from t2ipal.methods.base import tuned_parameters
from t2ipal.tuning.loop import tune
from t2ipal.tuning.optimizer import make_optimizer
from tests.methods.given import batch, captions, images, weights
from tests.tiny_clip import tiny_backbone
from tests.tuning.tiny_set import PIXELS, tiny_method, tiny_set, tiny_settings

PROMPTS = {"prompts.global_context", "prompts.local_context"}
VISUAL = {"visual.whole", "visual.local"}
ADAPTER, PROTOTYPES = {"adapter.down", "adapter.up"}, {"prototypes"}
TEXT_ADAPTER = {"text_adapter.down", "text_adapter.up"}
IMAGE_ADAPTER = {"image_adapter.down", "image_adapter.up"}
T2I_PAL = PROMPTS | ADAPTER | PROTOTYPES
PVP = PROMPTS | VISUAL | TEXT_ADAPTER | IMAGE_ADAPTER


def of(module, names):
    return {f"{module}.{name}" for name in names}


COMBINED = [of("judge", VISUAL), of("judge", PVP), of("t2i_pal", T2I_PAL)]

# name -> what learns in each of its phases
LEARNS = {
    "tai_dpt": [PROMPTS],
    "t2i_pal": [T2I_PAL],
    "t2i_pal-without-prompts": [T2I_PAL - PROMPTS],
    "t2i_pal-without-adapter": [T2I_PAL - ADAPTER],
    "t2i_pal-without-heatmap": [T2I_PAL],
    "t2i_pal-without-prototypes": [T2I_PAL - PROTOTYPES],
    "t2i_pal-without-captions": [T2I_PAL],
    "t2i_pal-without-images": [PROMPTS],
    "pvp": [VISUAL, PVP],
    "pvp-without-pretraining": [PVP],
    "pvp-without-adapter": [VISUAL, PROMPTS | VISUAL],
    "pvp-without-contrast": [VISUAL, PVP],
    "pvp-without-visual_prompts": [PROMPTS | TEXT_ADAPTER],
    "pvp-without-text_prompts": [VISUAL, VISUAL | TEXT_ADAPTER | IMAGE_ADAPTER],
    "t2i_pal_pvp": COMBINED,
    "t2i_pal_pvp-without-doubt": COMBINED,
    "t2i_pal_pvp-without-visual": COMBINED,
    "t2i_pal_pvp-without-pvp": [of("judge", T2I_PAL), of("t2i_pal", T2I_PAL)],
    "supervised": [T2I_PAL],
}


def test_every_method_and_ablation_that_is_tuned_is_here():
    ablations = {f"{name}{WITHOUT}{part}" for name in TUNED for part in ABLATIONS.get(name, ())}
    assert set(LEARNS) == {*TUNED, *ablations, "supervised"}


def given(name, settings):
    method = tiny_method(name, settings)
    for module in method.modules():
        if isinstance(module, Adapter):
            weights(module)  # at its first state, zero, it passes no gradient on
    return method


@pytest.mark.parametrize("name", LEARNS)
def test_gradients_reach_exactly_what_may_learn(name):
    method = given(name, tiny_settings(pvp=PIXELS if "pvp" in name else {}))
    phases = method.phases()
    assert len(phases) == len(LEARNS[name])
    for phase, learns in zip(phases, LEARNS[name], strict=True):
        make_optimizer(method, phase)
        assert {each for each, p in method.named_parameters() if p.requires_grad} == learns
        seen = images() if phase.rows == "images" else None
        terms = method(batch(seen, captions()), phase.name)
        parts = [*terms.ranked.values(), *terms.rows.values(), *terms.whole.values()]
        torch.stack([part.square().sum() for part in parts]).sum().backward()
        gradients = {each: p.grad for each, p in method.named_parameters() if p.grad is not None}
        assert set(gradients) == learns
        for each, gradient in gradients.items():
            assert gradient.abs().sum() > 0, each
        method.zero_grad()
    assert all(parameter.grad is None for parameter in tiny_backbone("resnet")._model.parameters())


def test_keys_of_the_cache_learn_and_its_values_rest():
    settings = tiny_settings(t2i_pal={"adapter": "cache"})
    (changed,) = changes("t2i_pal", settings)
    assert changed == PROMPTS | PROTOTYPES | {"cache.keys"}


@pytest.mark.parametrize("name", LEARNS)
def test_over_a_phase_exactly_what_may_learn_changes(name):
    assert changes(name, tiny_settings(epochs=2)) == LEARNS[name]


def test_pixels_of_pseudo_images_learn_and_rest_too():
    assert changes("t2i_pal_pvp", tiny_settings(epochs=2, pvp=PIXELS)) == LEARNS["t2i_pal_pvp"]


def changes(name, settings):
    """The names of what each phase of tuning changes, from its first step on."""
    method = tiny_method(name, settings)
    backbone = {key: value.clone() for key, value in tiny_backbone("resnet")._model.state_dict().items()}
    begun, states = [], []
    begin = method.begin

    def beginning(phase, data):
        begin(phase, data)
        begun.append(tuned_parameters(method))

    method.begin = beginning
    tune(method, tiny_set(), 0, Accelerator(cpu=True), states.append)
    after = tiny_backbone("resnet")._model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in backbone.items())
    ends = {entry["phase"]: state.parameters for state in states for entry in [state.log[-1]]}
    return [
        {key for key, value in before.items() if not torch.equal(value, end[key])}
        for before, end in zip(begun, ends.values(), strict=True)
    ]
