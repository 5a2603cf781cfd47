"""Tuning whose processes are killed within an epoch goes on where the last one ended, whoever is left."""

import multiprocessing
import os
import random
import signal
import socket
import time

import pytest
from safetensors.torch import load

from t2ipal.stages import tune
from t2ipal.tuning import loop, session
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images

EPOCHS, STEPS = 3, 8  # of 40 images in batches of 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe, store = finished_images(tmp_path_factory.mktemp("killed"))
    compute_features(recipe, store)
    return recipe, store


@pytest.fixture
def trial(run):
    """One of which nothing is left after the test."""
    trial = Trial.of(*run)
    yield trial
    forget(trial)


def forget(trial):
    for name in (trial.result, trial.tuned, trial.progress):
        trial.store.delete(name)


def killed_in(step):
    """This process, within a step of its tuning."""
    taken, gradients = [], loop._gradients

    def killed(*given):
        taken.append(step)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return gradients(*given)

    loop._gradients = killed


def drive(recipe, store, step):
    killed_in(step)
    tune.run(recipe, store)


def rank(number, trial, step, port):
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(number), LOCAL_RANK=str(number),
        WORLD_SIZE="2", GLOO_SOCKET_IFNAME="lo",
    )  # fmt: skip
    if number == 1:
        killed_in(step)
    session.run_tuning(trial, lambda entry: None)


def exit_codes(target, arguments):
    """Of processes with these arguments, when all have ended."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def any_step(first=1):
    step = random.Random(time.time_ns()).randint(first, EPOCHS * STEPS)
    print(f"killed in step {step}")
    return step


def finished(trial):
    return len(trial.store.read_json(trial.progress)["log"]) if trial.store.exists(trial.progress) else 0


def test_a_driver_that_is_killed_in_any_step(run, trial):
    recipe, store = run
    step = any_step()
    assert exit_codes(drive, [(recipe, store, step)]) == [-signal.SIGKILL]
    assert tune.pending(recipe, store) == ["tune"]
    assert finished(trial) == (step - 1) // STEPS
    tune.run(recipe, store)
    killed, log = store.read_bytes(trial.tuned), store.read_json(trial.result)["log"]
    forget(trial)

    tune.run(recipe, store)

    assert store.read_bytes(trial.tuned) == killed
    assert store.read_json(trial.result)["log"] == log


def test_a_rank_that_is_killed_in_any_step(run, trial):
    recipe, store = run
    step = any_step(first=STEPS + 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    left, killed = exit_codes(rank, [(number, trial, step, port) for number in (0, 1)])
    assert killed == -signal.SIGKILL
    assert left not in (0, None)
    assert finished(trial) == (step - 1) // STEPS
    tune.run(recipe, store)  # alone
    tuned, log = load(store.read_bytes(trial.tuned)), store.read_json(trial.result)["log"]
    forget(trial)

    tune.run(recipe, store)

    assert [entry["loss"] for entry in log] == pytest.approx(
        [entry["loss"] for entry in store.read_json(trial.result)["log"]], abs=1e-4
    )
    for name, value in load(store.read_bytes(trial.tuned)).items():
        # AdamW divides by small numbers, so the order of sums shows here more than with SGD.
        assert (tuned[name] - value).abs().max() < 1e-3, name
