import pytest
import torch

from t2ipal.tuning.checkpoint import from_bytes, restore, take, to_bytes
from t2ipal.tuning.optimizer import make_optimizer, set_learning_rates
from tests.tuning.tiny_set import tiny_method, tiny_recipe


def stepped(recipe):
    method = tiny_method(recipe)
    optimizer = make_optimizer(method, recipe)
    set_learning_rates(optimizer, 1, recipe)
    for parameter in method.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return method, optimizer


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_state_survives_the_file(kind):
    recipe = tiny_recipe(optimizer=kind)
    method, optimizer = stepped(recipe)
    log = [{"epoch": 1, "loss": 0.1 + 0.2}]
    checkpoint = from_bytes(to_bytes(take(method, optimizer, log)))
    assert (checkpoint.epochs, checkpoint.log) == (1, log)
    fresh = tiny_method(recipe)
    fresh_optimizer = make_optimizer(fresh, recipe)
    restore(checkpoint, fresh, fresh_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(method.parameters(), fresh.parameters(), strict=True))
    before, after = optimizer.state_dict()["state"], fresh_optimizer.state_dict()["state"]
    assert before.keys() == after.keys()
    for index, state in before.items():
        assert all(torch.equal(torch.as_tensor(value), after[index][name]) for name, value in state.items())


def test_only_what_is_tuned_is_kept():
    recipe = tiny_recipe()
    method, optimizer = stepped(recipe)
    assert len(to_bytes(take(method, optimizer, []))) < 40_000
    assert take(method, optimizer, []).parameters.keys() == dict(method.named_parameters()).keys()
