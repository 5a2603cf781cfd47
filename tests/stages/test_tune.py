"""How the stage asks Ray Train for workers, and how long it bears losing them."""

import dataclasses

import pytest
from ray.train import TrainingFailedError

from t2ipal.errors import StoreError
from t2ipal.recipe import Ranks
from t2ipal.stages import tune
from t2ipal.tuning.trial import Trial
from t2ipal.watch import Progress
from tests.faults.cluster import until


@pytest.fixture
def trial(copy):
    """One without a result or a checkpoint."""
    recipe, store = copy
    trial = Trial.of(recipe, store)
    for name in (trial.result, trial.tuned, trial.progress):
        store.delete(name)
    return trial


class Fitting:
    """In the place of a trainer: each attempt finishes some epochs more, and fails until the last one."""

    def __init__(self, trial, *gains):
        self._trial, self._gains, self.done = trial, list(gains), 0

    def fit(self):
        self.done += self._gains.pop(0)
        log = [{"epoch": epoch + 1} for epoch in range(self.done)]
        self._trial.store.write_json(self._trial.progress, {"log": log})
        if self._gains:
            raise TrainingFailedError("lost")


def test_losses_with_progress_in_between_are_borne(trial, monkeypatch):
    fitting = Fitting(trial, 2, 1, 3, 1)
    monkeypatch.setattr(tune, "_trainer", lambda trial: fitting)
    tune._with_ray(trial)
    assert fitting.done == 7


def test_epochs_are_told_as_the_store_has_them(trial, monkeypatch):
    told = []
    monkeypatch.setattr(tune, "LOOK_S", 0.02)
    with tune._watched(trial, 5, told.append):
        for done in (2, 5):
            trial.store.write_json(trial.progress, {"log": [{}] * done})
            until(lambda done=done: told and told[-1].done == done)
    assert told == [Progress(2, 5, "epochs"), Progress(5, 5, "epochs")]


def test_a_store_that_does_not_answer_for_a_while_ends_no_watch(trial, monkeypatch):
    told, failures = [], [OSError("busy"), StoreError("cannot read", "wait")]
    monkeypatch.setattr(tune, "LOOK_S", 0.02)
    monkeypatch.setattr(tune, "_finished_epochs", lambda _: _raised(failures) if failures else 3)
    with tune._watched(trial, 5, told.append):
        until(lambda: bool(told))
    assert told == [Progress(3, 5, "epochs")]


def _raised(failures):
    raise failures.pop()


def test_losses_without_progress_are_not(trial, monkeypatch):
    fitting = Fitting(trial, 2, 1, 0, 1)
    monkeypatch.setattr(tune, "_trainer", lambda trial: fitting)
    with pytest.raises(TrainingFailedError, match="lost"):
        tune._with_ray(trial)
    assert fitting.done == 3


@pytest.mark.parametrize(("bounds", "asked"), [((2, 2), 2), ((1, 3), (1, 3))])
def test_bounds_make_an_elastic_group(trial, monkeypatch, bounds, asked):
    monkeypatch.setattr(tune, "_network", dict)
    workers = Ranks(min=bounds[0], max=bounds[1])
    recipe = trial.recipe.model_copy(
        update={"tune": trial.recipe.tune.model_copy(update={"workers": workers})}
    )
    scaling = tune._trainer(Trial.of(recipe, trial.store)).scaling_config
    assert scaling.num_workers == asked
    assert scaling.elasticity_enabled == (bounds[0] < bounds[1])


def test_drivers_of_one_trial_have_one_run_of_ray_train(trial, monkeypatch):
    monkeypatch.setattr(tune, "_network", dict)
    other = dataclasses.replace(trial, folder="elsewhere")
    ids = [tune._trainer(each).train_run_context.run_id for each in (trial, trial, other)]
    assert ids[0] == ids[1] != ids[2]
