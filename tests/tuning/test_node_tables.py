"""Tables that the processes of a machine share."""

import fcntl
import multiprocessing
import os
import signal
import tempfile
import threading
from collections import namedtuple

import numpy as np
import pytest
import torch

from t2ipal.errors import UserError
from t2ipal.tuning import node_tables as module
from t2ipal.tuning.node_tables import node_tables

ROWS = np.arange(24, dtype=np.float16).reshape(6, 2, 2)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A disk and a memory of our own."""
    disk, memory = tmp_path / "disk", tmp_path / "memory"
    for place in (disk, memory):
        place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    monkeypatch.setattr(module, "MEMORY", memory)
    return disk, memory


def chunks():
    yield {"a": ROWS[:4], "b": np.array([True])}
    yield {"a": ROWS[4:]}
    yield {"empty": np.empty((0, 3), np.int64)}


def refused():
    raise AssertionError("it is there already")
    yield {}


def files(place):
    return sorted(path.name for path in place.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", ["auto", "memory", "disk"])
def test_tables_are_what_the_chunks_have(places, place):
    tables = node_tables("key", place, 10, chunks)
    assert set(tables) == {"a", "b", "empty"}
    assert torch.equal(tables["a"], torch.from_numpy(ROWS))
    assert tables["b"].tolist() == [True]
    assert (tables["empty"].shape, tables["empty"].dtype) == ((0, 3), torch.int64)
    disk, memory = places
    written, index = ["a", "b", "empty"], ["tables.json"]
    assert (files(disk), files(memory)) == ((written + index, []) if place == "disk" else (index, written))


def test_the_last_one_who_holds_them_removes_them(places):
    first = node_tables("key", "auto", 10, chunks)
    second = node_tables("key", "auto", 10, refused)
    del first
    assert torch.equal(second["a"], torch.from_numpy(ROWS))
    third = node_tables("key", "auto", 10, refused)
    kept = third["a"]
    del second, third
    assert files(places[0]) == files(places[1]) == []
    assert torch.equal(kept, torch.from_numpy(ROWS))  # mapped is mapped


def test_they_are_written_once_however_many_ask_at_once():
    written, tables = [], []

    def counted():
        written.append(1)
        yield from chunks()

    threads = [
        threading.Thread(target=lambda: tables.append(node_tables("key", "disk", 10, counted)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(written), len(tables)) == (1, 8)


def killed_while_writing(disk, memory):
    tempfile.tempdir, module.MEMORY = str(disk), memory

    def fatal():
        yield {"a": ROWS[:3]}
        os.kill(os.getpid(), signal.SIGKILL)

    node_tables("key", "auto", 10, fatal)


def killed_while_reading(disk, memory):
    tempfile.tempdir, module.MEMORY = str(disk), memory
    held = node_tables("key", "auto", 10, chunks)
    os.kill(os.getpid(), signal.SIGKILL)
    del held


def killed(work, places):
    process = multiprocessing.get_context("fork").Process(target=work, args=places)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert files(places[1])


def test_what_was_half_written_is_written_again(places):
    killed(killed_while_writing, places)
    assert torch.equal(node_tables("key", "auto", 10, chunks)["a"], torch.from_numpy(ROWS))


def test_what_a_killed_one_left_is_used_or_removed(places):
    killed(killed_while_reading, places)
    assert torch.equal(node_tables("key", "auto", 10, refused)["a"], torch.from_numpy(ROWS))
    killed(killed_while_reading, places)
    held = node_tables("other", "auto", 10, chunks)
    assert not list(places[1].rglob("key"))
    assert list(places[1].rglob("other"))
    del held


def test_what_somebody_holds_is_not_swept():
    held = node_tables("key", "auto", 10, chunks)
    other = node_tables("other", "auto", 10, chunks)
    assert torch.equal(node_tables("key", "auto", 10, refused)["a"], torch.from_numpy(ROWS))
    del held, other


def test_a_folder_that_is_removed_while_somebody_waits_for_it(places, monkeypatch):
    lock, waited = fcntl.flock, []

    def removed(descriptor, kind):
        lock(descriptor, kind)
        if not waited:
            waited.append(kind)
            module._remove(places[0] / f"t2ipal-{os.getuid()}" / "key")

    monkeypatch.setattr(module.fcntl, "flock", removed)
    assert torch.equal(node_tables("key", "auto", 10, chunks)["a"], torch.from_numpy(ROWS))


def test_an_error_while_reading_leaves_nothing(places):
    def broken():
        yield {"a": ROWS}
        raise UserError("broken", "mend it")

    with pytest.raises(UserError, match="broken"):
        node_tables("key", "auto", 10, broken)
    assert files(places[0]) == files(places[1]) == []
    assert torch.equal(node_tables("key", "auto", 10, chunks)["a"], torch.from_numpy(ROWS))


def test_the_size_decides_where_they_go(places, monkeypatch):
    disk, memory = places
    Usage = namedtuple("Usage", "total used free")
    free = {str(memory): 400, str(disk): 1000}
    monkeypatch.setattr(
        module.shutil,
        "disk_usage",
        lambda path: Usage(0, 0, free[str(memory) if str(path) == str(memory) else str(disk)]),
    )
    for size, place, where in (
        (100, "auto", memory),
        (101, "auto", disk),
        (400, "memory", memory),
        (1000, "disk", disk),
    ):
        held = node_tables("key", place, size, chunks)
        assert list(where.rglob("a"))
        del held
    with pytest.raises(UserError, match=r"shared memory .* has less\n.*tune.features to disk"):
        node_tables("key", "memory", 401, chunks)
    for place in ("auto", "disk"):
        with pytest.raises(UserError, match=r"take 0.0 GiB, and the folder .* has less\n.*TMPDIR"):
            node_tables("key", place, 1001, chunks)
