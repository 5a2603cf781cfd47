"""A batch in parts is the same step as the whole batch, in any precision."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from t2ipal.errors import UserError
from t2ipal.methods.base import tuned_parameters
from t2ipal.tuning import loop
from t2ipal.tuning.checkpoint import from_bytes, to_bytes
from t2ipal.tuning.data import TuningSet
from tests.tuning.tiny_set import PIXELS, tiny_method, tiny_set, tiny_settings

NOISY = {**PIXELS, "noise": 0.3, "schedule": {"warmup_epochs": 0}}
SETTINGS = tiny_settings(epochs=2, optimizer="sgd", pvp=NOISY, t2i_pal={"schedule": {"warmup_epochs": 0}})


@pytest.fixture
def accelerator():
    """One of any precision: Accelerate keeps the first of a process."""

    def make(precision):
        AcceleratorState._reset_state()
        return Accelerator(cpu=True, mixed_precision=precision)

    yield make
    AcceleratorState._reset_state()


def tuned(name, accelerator, accumulate=1, settings=SETTINGS, start=None, states=None):
    method, states = tiny_method(name, settings), [] if states is None else states
    log = loop.tune(method, tiny_set(), 0, accelerator, states.append, start, accumulate)
    return tuned_parameters(method), [entry["loss"] for entry in log]


# With batches of 5 and of 3 rows some of 7 parts are empty.
@pytest.mark.parametrize(("name", "parts"), [("tai_dpt", 2), ("t2i_pal", 7), ("pvp", 7), ("t2i_pal_pvp", 2)])
def test_parts_of_a_batch_add_up_to_it(accelerator, name, parts):
    whole, losses = tuned(name, accelerator("no"))
    in_parts, parted = tuned(name, accelerator("no"), parts)
    start = tuned_parameters(tiny_method(name, SETTINGS))
    assert any((value - start[each]).abs().max() > 1e-3 for each, value in whole.items())
    for each, value in whole.items():
        torch.testing.assert_close(in_parts[each], value, atol=1e-5, rtol=1e-4)
    assert parted == pytest.approx(losses, abs=1e-4)


def test_no_part_has_more_rows_than_its_share(accelerator, monkeypatch):
    sizes, batch = [], TuningSet.batch
    monkeypatch.setattr(
        TuningSet, "batch", lambda self, *given: sizes.append(len(given[1])) or batch(self, *given)
    )
    tuned("t2i_pal", accelerator("no"), accumulate=3)
    assert set(sizes) == {1, 2}


@pytest.mark.parametrize("name", ["t2i_pal", "t2i_pal_pvp", "supervised"])
def test_a_loss_over_all_rows_has_no_parts(accelerator, name):
    settings = tiny_settings(t2i_pal={"class_ranking": 0.5})
    with pytest.raises(UserError, match=r"tune.accumulate is 2, but class_ranking \(0.5\)"):
        tuned(name, accelerator("no"), 2, settings)


@pytest.mark.parametrize("name", ["tai_dpt", "t2i_pal", "pvp"])
def test_bfloat16_is_another_arithmetic_of_the_same_step(accelerator, name):
    _, losses = tuned(name, accelerator("no"))
    rounded, near = tuned(name, accelerator("bf16"))
    assert near != losses
    assert near == pytest.approx(losses, rel=0.05)
    assert all(value.dtype == torch.float32 for value in rounded.values())


@pytest.mark.parametrize("name", ["t2i_pal", "pvp"])
def test_going_on_in_bfloat16_gives_the_same_bits(accelerator, name):
    states = []
    straight, losses = tuned(name, accelerator("bf16"), 2, states=states)
    for state in states[:-1]:
        start = from_bytes(to_bytes(state))
        again, resumed = tuned(name, accelerator("bf16"), 2, start=start)
        assert resumed == losses
        assert all(torch.equal(again[each], value) for each, value in straight.items())


def test_a_method_is_as_it_was_after_mixed_precision(accelerator):
    method = tiny_method("t2i_pal", SETTINGS)
    loop.tune(method, tiny_set(), 0, accelerator("bf16"), lambda checkpoint: None)
    assert method.forward.__func__ is type(method).forward
