from dataclasses import replace

import pytest
import torch
from torch import nn

from t2ipal.picturebook.fit import Schedule, fit

SCHEDULE = Schedule(steps=12, batch=4, lr=0.05, warmup=2, ema=0.9, save_every=5)


def _fit(work, schedule):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)

    def loss(generator, done):
        inputs = torch.randn(schedule.batch, 3, generator=generator)
        return (model(inputs).float().sum(1) - inputs.sum(1)).square().mean() * (1 + done)

    averaged, progress = fit("line", model, loss, schedule, work)
    return averaged.weight.detach().clone(), progress


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path):
    whole, progress = _fit(tmp_path / "whole", SCHEDULE)
    assert (progress.step, progress.samples) == (12, 48)
    part, progress = _fit(tmp_path / "parts", replace(SCHEDULE, stop=5))
    assert progress.step == 5
    assert not torch.equal(part, whole)
    resumed, _ = _fit(tmp_path / "parts", SCHEDULE)
    assert torch.equal(resumed, whole)


def test_the_log_does_not_show_where_a_training_was_cut_off(tmp_path):
    long = replace(SCHEDULE, steps=200)
    _, whole = _fit(tmp_path / "whole", long)
    _fit(tmp_path / "parts", replace(long, stop=170))
    _, resumed = _fit(tmp_path / "parts", long)
    assert resumed.losses == whole.losses
    assert [step for step, _ in whole.losses] == [100, 200]


def test_training_learns(tmp_path):
    start, _ = _fit(tmp_path / "a", replace(SCHEDULE, stop=1))
    end, _ = _fit(tmp_path / "b", replace(SCHEDULE, steps=200))
    target = torch.ones(1, 3)
    assert (end - target).abs().max() < 0.3 * (start - target).abs().max()


@pytest.mark.parametrize(("decay", "last"), [(True, 0.0), (False, 0.05)])
def test_rates(decay, last):
    schedule = replace(SCHEDULE, decay=decay)
    assert schedule.rate(0) == pytest.approx(0.025)
    assert schedule.rate(12) == pytest.approx(last)
