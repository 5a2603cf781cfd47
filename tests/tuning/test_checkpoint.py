import pytest
import torch
from torch.amp import GradScaler

from t2ipal.tuning.checkpoint import (
    from_bytes,
    restore_optimizer,
    restore_parameters,
    restore_scaler,
    take,
    to_bytes,
)
from t2ipal.tuning.optimizer import make_optimizer, set_learning_rates
from tests.tuning.tiny_set import tiny_method, tiny_settings


def stepped(name, settings):
    method = tiny_method(name, settings)
    phase = method.phases()[-1]
    optimizer = make_optimizer(method, phase)
    set_learning_rates(optimizer, 1, phase)
    for parameter in method.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return method, optimizer


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("name", ["t2i_pal", "pvp"])
def test_a_state_survives_the_file(name, kind):
    settings = tiny_settings(optimizer=kind)
    method, optimizer = stepped(name, settings)
    log = [{"phase": "tune", "epoch": 1, "loss": 0.1 + 0.2}]
    checkpoint = from_bytes(to_bytes(take(method, optimizer, log)))
    assert (checkpoint.epochs, checkpoint.log) == (1, log)
    fresh = tiny_method(name, settings, seed=1)
    fresh_optimizer = make_optimizer(fresh, fresh.phases()[-1])
    restore_parameters(checkpoint, fresh)
    restore_optimizer(checkpoint, fresh_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(method.parameters(), fresh.parameters(), strict=True))
    before, after = optimizer.state_dict()["state"], fresh_optimizer.state_dict()["state"]
    assert before
    assert before.keys() == after.keys()
    for index, state in before.items():
        assert all(torch.equal(torch.as_tensor(value), after[index][name]) for name, value in state.items())


def test_only_what_is_tuned_is_kept():
    method, optimizer = stepped("t2i_pal", tiny_settings())
    assert len(to_bytes(take(method, optimizer, []))) < 40_000
    assert take(method, optimizer, []).parameters.keys() == dict(method.named_parameters()).keys()


def test_the_scale_of_gradients_survives_the_file():
    method, optimizer = stepped("t2i_pal", tiny_settings())
    scaler, fresh = GradScaler("cpu", init_scale=2.0**11), GradScaler("cpu")
    scaler.scale(torch.ones(()))
    scaler.load_state_dict(scaler.state_dict() | {"_growth_tracker": 7})
    checkpoint = from_bytes(to_bytes(take(method, optimizer, [], scaler)))
    restore_scaler(checkpoint, fresh)
    assert fresh.state_dict() == scaler.state_dict()
    assert (fresh.get_scale(), fresh.state_dict()["_growth_tracker"]) == (2.0**11, 7)
    restore_scaler(from_bytes(to_bytes(take(method, optimizer, []))), fresh)  # of another precision
    restore_scaler(checkpoint, None)
