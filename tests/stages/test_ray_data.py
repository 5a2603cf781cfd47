import logging
import os
import threading
import time

import pytest
from ray.data import DataContext

from t2ipal.errors import UserError
from t2ipal.section import Workers
from t2ipal.stages import ray_data
from t2ipal.stages.ray_data import (
    IN_HAND,
    actor_pool,
    one_row_each,
    quiet_ray_data,
    shards_to_do,
    startup_explained,
)


def settings():
    context = DataContext.get_current()
    console = [
        h.level for h in logging.getLogger("ray.data").handlers if isinstance(h, logging.StreamHandler)
    ]
    return context.enable_progress_bars, context.execution_no_progress_timeout_s, console


def test_ray_data_is_quiet_within_only():
    before = settings()
    with quiet_ray_data():
        bars, timeout, console = settings()
    assert not bars
    assert timeout == -1  # a shard may take hours
    assert console == [logging.ERROR] * len(console)
    assert settings() == before != (bars, timeout, console)


@pytest.mark.parametrize(("shards", "sizes"), [(1, (1, 1)), (3, (2, 3)), (9, (2, 4))])
def test_no_more_actors_than_shards(shards, sizes):
    pool = actor_pool(Workers(min=2, max=4), shards)
    assert (pool.min_size, pool.max_size) == sizes


def test_an_actor_has_two_shards_in_hand():
    pool = actor_pool(Workers(), 9)
    assert pool.max_concurrent_calls_per_actor == pool.max_tasks_in_flight_per_actor == 2
    assert pool.enable_true_multi_threading  # else its model would wait for what is written


class Together:
    """Answers a row only while another one is in work."""

    def __init__(self):
        self._both = threading.Barrier(2)

    def __call__(self, row):
        self._both.wait(60)
        return {"worker": os.getpid()}


def test_an_actor_works_on_both_at_once(ray_cluster):
    with quiet_ray_data(IN_HAND):
        rows = one_row_each(["a", "b", "c", "d"]).map(
            Together, compute=actor_pool(Workers(), 4), num_cpus=0.5
        )
        assert len({row["worker"] for row in rows.iter_rows()}) == 1


class Awaited:
    """Returns when two processes are at work."""

    def __init__(self, folder):
        self._folder = folder

    def __call__(self, row):
        (self._folder / str(os.getpid())).touch()
        deadline = time.monotonic() + 120
        while len(list(self._folder.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        return {"worker": os.getpid()}


def test_a_pool_grows_while_more_is_to_do(ray_cluster, tmp_path):
    names = [str(number) for number in range(24)]
    with quiet_ray_data(IN_HAND):
        pool = actor_pool(Workers(min=1, max=2), len(names))
        rows = shards_to_do([{"shard": name} for name in names], Workers()).map(
            Awaited, fn_constructor_args=(tmp_path,), compute=pool, num_cpus=0.5
        )
        assert sum(1 for _ in rows.iter_rows()) == len(names)
    assert len(list(tmp_path.iterdir())) == 2


def test_shards_are_a_block_each_until_they_are_many(ray_cluster, monkeypatch):
    rows = [{"shard": str(number)} for number in range(70)]
    assert shards_to_do(rows, Workers()).num_blocks() == 70
    monkeypatch.setattr(ray_data, "MOST_BLOCKS", 8)
    many = shards_to_do(rows, Workers())
    assert many.num_blocks() == 64
    assert [row["shard"] for row in many.iter_rows()] == [row["shard"] for row in rows]
    assert shards_to_do(rows, Workers(min=1, max=2)).num_blocks() == 70


class Broken:
    def __init__(self):
        raise ValueError("no such setting: wings")

    def __call__(self, row):
        return row


def test_a_worker_that_cannot_start_says_why(ray_cluster):
    rows = one_row_each(["a", "b"]).map(Broken, compute=actor_pool(Workers(), 2), num_cpus=0.5)
    with (
        pytest.raises(
            UserError, match=r"^images: a worker could not start: ValueError: no such setting: wings"
        ),
        quiet_ray_data(),
        startup_explained("images", "images.model"),
    ):
        list(rows.iter_rows())


def test_a_shard_is_a_block(ray_cluster):
    rows = one_row_each(["a", "b", "c"])
    assert rows.num_blocks() == 3
    assert [row["shard"] for row in rows.iter_rows()] == ["a", "b", "c"]
