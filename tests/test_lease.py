import os
import signal
import subprocess
import sys
import time

import pytest

from jobs.exit_code import WRONG
from t2ipal import lease
from t2ipal.errors import UserError
from t2ipal.lease import LEASE_FILE, Lease
from t2ipal.store import Store

HOLD = """
import sys, time
from t2ipal.lease import Lease
from t2ipal.store import Store
with Lease(Store.open(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


# A job that waits, with signs of life in quick succession.
WORK = """
import signal, sys, threading
from jobs.exit_code import exit_code
from t2ipal import lease
from t2ipal.store import Store

lease.BEAT_S = 0.1
ended = threading.Event()


def job():
    with lease.Lease(Store.open(sys.argv[1])):
        # What is inherited depends on how the tests were started.
        serves = lambda *_: ended.set()
        ways = {"raise": signal.default_int_handler, "end": serves, "ignore": signal.SIG_IGN}
        signal.signal(signal.SIGINT, ways[sys.argv[2]])
        print("held", flush=True)
        ended.wait()


sys.exit(exit_code(job))
"""


def test_a_second_job_is_refused_until_the_first_has_ended(store):
    with Lease(store):
        with pytest.raises(UserError, match=f"another job works in .* process {os.getpid()} on "):
            Lease(store).__enter__()
        assert store.exists(LEASE_FILE)
    assert not store.exists(LEASE_FILE)
    with Lease(store):
        pass


def test_a_lease_ends_with_an_error_too(tmp_path):
    run = Store.open(str(tmp_path))
    with pytest.raises(RuntimeError), Lease(run):
        raise RuntimeError
    assert not run.exists(LEASE_FILE)


def test_a_killed_job_is_taken_over_at_once(store):
    with subprocess.Popen([sys.executable, "-c", HOLD, store.uri], stdout=subprocess.PIPE) as job:
        job.stdout.readline()
        with pytest.raises(UserError, match=f"process {job.pid}"):
            Lease(store).__enter__()
        job.kill()
    start = time.monotonic()
    with Lease(store):
        assert time.monotonic() - start < 5


def test_a_job_that_stands_still_on_this_machine_is_not_taken_over(store):
    with subprocess.Popen([sys.executable, "-c", HOLD, store.uri], stdout=subprocess.PIPE) as job:
        job.stdout.readline()
        job.send_signal(signal.SIGSTOP)
        store.write_json(LEASE_FILE, store.read_json(LEASE_FILE) | {"beat": time.time() - 3600})
        start = time.monotonic()
        try:
            with pytest.raises(UserError, match=f"process {job.pid}"):
                Lease(store).__enter__()
        finally:
            job.kill()
        assert time.monotonic() - start < 5


def test_a_job_killed_on_another_machine_is_waited_for_and_then_taken_over(store, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    monkeypatch.setattr(lease, "STALE_S", 1.0)
    left_elsewhere(store, beat=time.time())
    with pytest.raises(UserError, match="another job works in"):
        Lease(store).__enter__()
    time.sleep(1.0)
    with Lease(store):
        pass


def left_elsewhere(run, **changes):
    """Leave the lease of a job on another machine, which looks after it no more."""
    with Lease(run):
        content = run.read_json(LEASE_FILE)
    take_over(run, content, **changes)


def take_over(run, content, **changes):
    """Make a lease one of another machine."""
    run.write_json(LEASE_FILE, content | {"machine": "another", "token": "another"} | changes)


def test_another_machine_is_believed_while_it_gives_signs(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    run = Store.open(str(tmp_path))
    left_elsewhere(run)
    with pytest.raises(UserError, match="another job works in"):
        Lease(run).__enter__()
    take_over(run, run.read_json(LEASE_FILE), beat=time.time() - 61)
    with Lease(run):
        pass
    assert not run.exists(LEASE_FILE)


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_machine_whose_clock_is_wrong_is_watched(tmp_path, monkeypatch, ahead):
    monkeypatch.setattr(lease, "BEAT_S", 0.2)
    run = Store.open(str(tmp_path))
    now = time.time
    monkeypatch.setattr(lease, "_machine", lambda: "first")
    with Lease(run):
        monkeypatch.setattr(lease, "_machine", lambda: "second")
        monkeypatch.setattr(lease.time, "time", lambda: now() + ahead)
        with pytest.raises(UserError, match="another job works in"):
            Lease(run).__enter__()


def test_a_job_that_was_taken_over_notices(tmp_path):
    run = Store.open(str(tmp_path))
    with Lease(run) as mine:
        mine.check()
        take_over(run, run.read_json(LEASE_FILE))
        with pytest.raises(UserError, match="another job has begun"):
            mine.check()
    assert run.exists(LEASE_FILE)  # not ours to take away


def test_a_job_that_ignores_interrupts_is_ended(tmp_path):
    run = Store.open(str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", WORK, run.uri, "ignore"], stdout=subprocess.PIPE) as job:
        job.stdout.readline()
        take_over(run, run.read_json(LEASE_FILE))
        try:
            assert job.wait(timeout=60) == WRONG  # and so it is told why
        finally:
            job.kill()


@pytest.mark.parametrize("on_interrupt", ["raise", "end"])
def test_a_job_that_was_taken_over_is_stopped(store, on_interrupt):
    command = [sys.executable, "-c", WORK, store.uri, on_interrupt]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        job.stdout.readline()
        held = store.read_json(LEASE_FILE)
        try:
            deadline = time.monotonic() + 60
            while job.poll() is None and time.monotonic() < deadline:
                # Again, as the job may have been about to give a sign of life: its own is then the last word.
                take_over(store, held, host="elsewhere", pid=7)
                time.sleep(0.5)
            _, told = job.communicate(timeout=1)
        finally:
            job.kill()
    assert job.returncode == WRONG
    assert f"another job has begun to work in '{store.uri}': process 7 on elsewhere" in told.decode()
    assert "Traceback" not in told.decode()
    assert store.exists(LEASE_FILE)


def test_a_sign_of_life_is_no_reason_to_list_folders_anew(store, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    with Lease(store), store.listed_once():
        assert store.files("captions") == []
        Store.open(store.uri).write_bytes("captions/x", b"")
        first = store.read_json(LEASE_FILE)["beat"]
        while store.read_json(LEASE_FILE)["beat"] == first:
            time.sleep(0.01)
        assert store.files("captions") == []
