"""Tuning that is killed within an epoch, and started again, ends in the same bits."""

import multiprocessing
import os
import random
import signal
import time

import pytest

from t2ipal.stages import tune
from t2ipal.tuning import loop
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images

STEPS = 3 * 7  # epochs of 35 images in batches of 5


def tune_until(recipe, store, step):
    """Tune in this process, which is killed within a step."""
    taken, gradients = [], loop._gradients

    def killed(*given):
        taken.append(step)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return gradients(*given)

    loop._gradients = killed
    tune.run(recipe, store)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe, store = finished_images(tmp_path_factory.mktemp("killed"))
    compute_features(recipe, store)
    return recipe, store


def test_a_driver_that_is_killed_at_any_step(run):
    recipe, store = run
    trial = Trial.of(recipe, store)
    step = random.Random(time.time_ns()).randint(1, STEPS)
    print(f"killed at step {step}")
    process = multiprocessing.get_context("spawn").Process(target=tune_until, args=(recipe, store, step))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert tune.pending(recipe, store) == ["tune"]
    finished = (step - 1) // 7
    assert (len(store.read_json(trial.progress)["log"]) if finished else 0) == finished
    tune.run(recipe, store)
    killed, log = store.read_bytes(trial.tuned), store.read_json(trial.result)["log"]
    for name in (trial.result, trial.tuned, trial.progress):
        store.delete(name)

    tune.run(recipe, store)

    assert store.read_bytes(trial.tuned) == killed
    assert store.read_json(trial.result)["log"] == log
