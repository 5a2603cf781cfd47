import pytest
import torch

from t2ipal.methods import T2IPal
from t2ipal.recipe import TuneRecipe
from t2ipal.tuning.optimizer import learning_rate, make_optimizer, set_learning_rates
from tests.tiny_clip import tiny_backbone


def test_a_constant_warm_up_then_a_cosine():
    recipe = TuneRecipe(epochs=10, warmup_epochs=2, warmup_lr=1e-5)
    rates = [learning_rate(0.1, epoch, recipe) for epoch in range(10)]
    assert rates[:2] == [1e-5, 1e-5]
    assert rates[5] == pytest.approx(0.05)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[9] < 0.01
    assert learning_rate(1e-6, 0, recipe) == 1e-6  # a warm-up is never hotter than what follows


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_prompts_and_the_rest_have_rates_of_their_own(kind):
    recipe = TuneRecipe(context=4, optimizer=kind, prompt_lr=0.3, head_lr=0.2, warmup_epochs=0)
    method = T2IPal(tiny_backbone("resnet"), ["fish", "house"], recipe, 0)
    optimizer = make_optimizer(method, recipe)
    set_learning_rates(optimizer, 0, recipe)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: rates[id(p)] for name, p in method.named_parameters()} == {
        "global_context": 0.3,
        "local_context": 0.3,
        "adapter.down": 0.2,
        "adapter.up": 0.2,
        "prototypes": 0.2,
    }
    assert isinstance(optimizer, torch.optim.SGD if kind == "sgd" else torch.optim.AdamW)


def test_prompts_alone_make_one_group():
    recipe = TuneRecipe(context=4, adapter=False, prototypes=False)
    method = T2IPal(tiny_backbone("resnet"), ["fish", "house"], recipe, 0)
    assert len(make_optimizer(method, recipe).param_groups) == 1
