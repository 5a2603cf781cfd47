"""How a job ends, wherever an error was raised."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
from ray.exceptions import RayTaskError
from ray.train import RunConfig, ScalingConfig, WorkerGroupError
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from jobs.exit_code import TERMINATED, exit_code, user_error
from t2ipal.errors import UserError
from t2ipal.section import Workers
from t2ipal.stages.ray_data import actor_pool, one_row_each, quiet_ray_data

WRONG = UserError("no wings", "buy some")


def fail(config=None):
    raise UserError("no wings", "buy some")


class Shards:
    def __call__(self, row):
        fail()


def chained(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        WRONG,
        chained(WRONG, ValueError()),
        chained(RuntimeError(), WRONG),
        RayTaskError("paint", "a trace", WRONG).as_instanceof_cause(),
        pickle.loads(pickle.dumps(WorkerGroupError("rank 1", {0: ValueError(), 1: WRONG}))),
    ],
    ids=["itself", "explained", "cause", "task", "rank"],
)
def test_it_is_found_within(error):
    assert str(user_error(error)) == "no wings\n  buy some"


@pytest.mark.parametrize("error", [None, ValueError(), WorkerGroupError("rank 0", {0: ValueError()})])
def test_a_defect_is_not_the_users(error):
    assert user_error(error) is None


def stop():
    raise KeyboardInterrupt


def fail_in_a_task():
    raise RayTaskError("paint", "a trace", WRONG).as_instanceof_cause()


@pytest.mark.parametrize(
    ("job", "code", "out", "err"),
    [
        (lambda: None, 0, "", ""),
        (fail, 2, "", "error: no wings\n  buy some\n"),
        (fail_in_a_task, 2, "", "error: no wings\n  buy some\n"),
        (stop, 130, "stopped; the same command goes on from here\n", ""),
    ],
    ids=["done", "wrong", "wrong in a task", "stopped"],
)
def test_the_user_is_told_and_the_shell_gets_a_code(capsys, job, code, out, err):
    assert exit_code(job) == code
    assert capsys.readouterr() == (out, err)


def test_a_defect_is_raised(capsys):
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 / 0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("step", [fail, Shards], ids=["task", "actor"])
def test_it_comes_back_from_ray_data(ray_cluster, step):
    with quiet_ray_data():
        pool = {"compute": actor_pool(Workers(), 1)} if step is Shards else {}
        rows = one_row_each(["a"]).map(step, num_cpus=0.5, **pool)
        with pytest.raises(Exception) as raised:  # noqa: PT011
            list(rows.iter_rows())
    assert str(user_error(raised.value)) == "no wings\n  buy some"


def test_it_comes_back_from_ray_train(ray_cluster, tmp_path):
    trainer = DataParallelTrainer(
        fail, scaling_config=ScalingConfig(num_workers=1), run_config=RunConfig(storage_path=str(tmp_path))
    )
    with pytest.raises(WorkerGroupError) as raised:
        trainer.fit()
    assert str(user_error(raised.value)) == "no wings\n  buy some"


def test_sigterm_stops_a_job_as_ctrl_c_does(capsys):
    before = signal.getsignal(signal.SIGTERM)
    left = []

    def job():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            left.append("in order")

    assert exit_code(job) == TERMINATED == 143
    assert left == ["in order"]
    assert "the same command goes on from here" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) == before


STOPPED_TWICE = """
import os, signal, sys, time
from jobs.exit_code import exit_code
def job():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        print("ended in order")
sys.exit(exit_code(job))
"""


def test_a_second_ctrl_c_disturbs_nothing():
    done = subprocess.run([sys.executable, "-c", STOPPED_TWICE], capture_output=True, text=True, timeout=60)
    said = "stopping\nended in order\nstopped; the same command goes on from here\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, said, "")
