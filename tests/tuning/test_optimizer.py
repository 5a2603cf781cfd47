import pytest
import torch

from t2ipal.method_settings import Schedule
from t2ipal.methods.base import Phase, Rate
from t2ipal.tuning.optimizer import learning_rate, make_optimizer, set_learning_rates
from tests.tuning.tiny_set import tiny_method, tiny_settings


def phase(**schedule):
    return Phase("tune", "images", Schedule(**schedule), {})


def test_a_constant_warm_up_then_a_cosine():
    ten = phase(epochs=10, warmup_epochs=2)
    rates = [learning_rate(Rate(0.1, 1e-5), epoch, ten) for epoch in range(10)]
    assert rates[:2] == [1e-5, 1e-5]
    assert rates[5] == pytest.approx(0.05)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[9] < 0.01


def test_a_phase_may_end_before_its_cosine_does():
    whole, part = phase(epochs=100), phase(epochs=40, horizon=100)
    for epoch in range(40):
        rate = Rate(0.1, 0.01)
        assert learning_rate(rate, epoch, part) == learning_rate(rate, epoch, whole)
    assert learning_rate(Rate(0.1, 0.01), 39, part) > 0.06


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_prompts_and_the_rest_have_rates_of_their_own(kind):
    schedule = {"warmup_epochs": 0, "momentum": 0.8, "weight_decay": 0.03}
    settings = tiny_settings(optimizer=kind, t2i_pal={"prompt_lr": 0.3, "head_lr": 0.2, "schedule": schedule})
    method = tiny_method("t2i_pal", settings)
    (tune,) = method.phases()
    optimizer = make_optimizer(method, tune)
    set_learning_rates(optimizer, 0, tune)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: rates[id(p)] for name, p in method.named_parameters()} == {
        "prompts.global_context": 0.3,
        "prompts.local_context": 0.3,
        "adapter.down": 0.2,
        "adapter.up": 0.2,
        "prototypes": 0.2,
    }
    assert isinstance(optimizer, torch.optim.SGD if kind == "sgd" else torch.optim.AdamW)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.03}
    assert {group.get("momentum", 0.8) for group in optimizer.param_groups} == {0.8}


def test_each_stage_of_pvp_has_rates_and_warm_ups_of_its_own():
    own = {"prompt_lr": 0.1, "prompt_warmup_lr": 0.2, "adapter_lr": 0.3, "adapter_warmup_lr": 0.4}
    settings = tiny_settings(pvp={**own, "pretrain": {"lr": 0.5, "warmup_lr": 0.6}})
    method = tiny_method("pvp", settings)
    found = []
    for each in method.phases():
        optimizer = make_optimizer(method, each)
        names = {id(parameter): name for name, parameter in method.named_parameters()}
        for epoch in (0, 1):
            set_learning_rates(optimizer, epoch, each)
            rates = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
            found.append({name.partition(".")[0]: rate for name, rate in rates.items()})
    half = 0.5 * (1 + 2**-0.5)  # a cosine over 4 epochs after one of them; over 2 epochs it is 0.5
    modules = ("prompts", "visual", "text_adapter", "image_adapter")
    assert found == [
        {"visual": 0.6},
        {"visual": pytest.approx(0.25)},
        dict(zip(modules, (0.2, 0.2, 0.4, 0.4), strict=True)),
        {name: pytest.approx(half * rate) for name, rate in zip(modules, (0.1, 0.1, 0.3, 0.3), strict=True)},
    ]


def test_prompts_alone_make_one_group():
    method = tiny_method("t2i_pal", tiny_settings(t2i_pal={"adapter": None, "prototypes": False}))
    assert len(make_optimizer(method, method.phases()[0]).param_groups) == 1
