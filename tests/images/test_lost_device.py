import multiprocessing

import pytest

from t2ipal.errors import UserError
from t2ipal.images.lost_device import MOST_LOST, DeviceLostError, end_process, forget_losses
from t2ipal.store import Store

ERROR = DeviceLostError("AcceleratorError: CUDA error: device-side assert triggered")


@pytest.fixture
def shards(tmp_path):
    return Store.open(str(tmp_path)).shards("images")


def status(shards, name):
    """Return the exit status of a process of its own that ends over a shard."""
    process = multiprocessing.get_context("spawn").Process(target=end_process, args=(shards, name, ERROR))
    process.start()
    process.join()
    return process.exitcode


def test_a_process_ends_and_its_shard_ends_the_job_when_it_costs_too_many(shards):
    for _ in range(MOST_LOST - 1):
        assert status(shards, "images-00001-000") == 1
    with pytest.raises(UserError, match=r"3 processes lost their device over the shard 'images-00001-000'"):
        end_process(shards, "images-00001-000", ERROR)
    assert status(shards, "images-00002-000") == 1  # another shard has its own count


def test_the_next_run_of_the_stage_counts_anew(shards):
    for _ in range(MOST_LOST - 1):
        status(shards, "images-00001-000")
    forget_losses(shards)
    assert status(shards, "images-00001-000") == 1
    assert shards.written() == []  # a note is no shard
