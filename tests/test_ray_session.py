"""How the job's own Ray is started; the whole job's test starts a real one."""

import logging
import os
import shutil
import sys

import pytest
from ray._private.utils import check_version_info

from jobs import ray_session
from jobs.ray_session import ENVIRONMENT, RaySession
from t2ipal.errors import UserError
from tests.recipes import tiny_recipe


@pytest.fixture
def session(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.shutdown", lambda: None)  # the suite's own cluster stays up
    remove = shutil.rmtree
    monkeypatch.setattr(ray_session.shutil, "rmtree", lambda *_, **__: None)
    with RaySession(tiny_recipe().ray, offline=False, serves_on="127.0.0.1") as session:
        yield session
    if session._folder:
        remove(session._folder)
    logging.disable(logging.NOTSET)


def start(session, monkeypatch, *errors):
    """Start it with a Ray that fails in these ways, one after the other; return the settings it was given."""
    given, errors = [], list(errors)

    def initialise(**settings):
        given.append(settings)
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr(session, "_initialise", initialise)
    session.start()
    return given


def test_the_folder_of_its_sockets_has_a_short_path(session, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (settings,) = start(session, monkeypatch)
    assert len(settings["_temp_dir"]) < 30


def test_a_slow_start_is_repeated_and_explained(session, monkeypatch, capsys):
    slow = Exception("The current node timed out during startup. This could\nhappen")
    assert len(start(session, monkeypatch, slow, TimeoutError())) == 3
    said = capsys.readouterr().out
    assert "in time (The current node timed out during startup. This could); trying again" in said
    assert "in time (TimeoutError); trying again" in said


def test_any_other_failure_is_told_as_it_is(session, monkeypatch, capsys):
    with pytest.raises(ValueError, match="object store"):
        start(session, monkeypatch, ValueError("the object store is too large"))
    assert "again" not in capsys.readouterr().out


def test_a_cluster_with_another_python_is_told_in_one_line(session, monkeypatch):
    def connect(**settings):  # Ray's own look at what a cluster says of itself
        check_version_info({"ray_version": "2.60.0", "python_version": "3.10.4"}, "node 127.0.0.1")

    monkeypatch.setattr("ray.init", connect)
    running = ".".join(map(str, sys.version_info[:3]))
    told = rf"the cluster runs Ray 2.60.0 on Python 3.10.4, and this job Ray 2.60.0 on Python {running}"
    with pytest.raises(UserError, match=told):
        session.start()


def test_its_serve_has_files_and_ports_of_its_own(session, monkeypatch):
    before = {name for name in os.environ if "HAPROXY" in name or "HA_PROXY" in name}
    monkeypatch.setenv("RAY_SERVE_HAPROXY_STATS_PORT", "8404")
    (settings,) = start(session, monkeypatch)
    assert os.environ["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert os.environ["RAY_SERVE_HAPROXY_STATS_PORT"] == "8404"  # what the user has set
    paths = [value for name, value in os.environ.items() if "HAPROXY" in name and value.startswith("/")]
    assert len(paths) == 5
    for path in paths:
        assert path.startswith(f"{settings['_temp_dir']}/")
        assert len(path) + len("/") + 56 + len(".12345.tmp") < 108  # Serve puts a node's id between
    session.__exit__(None, None, None)
    monkeypatch.delenv("RAY_SERVE_HAPROXY_STATS_PORT")
    assert {name for name in os.environ if "HAPROXY" in name or "HA_PROXY" in name} == before


@pytest.mark.parametrize("host", ["10.0.0.5", "::1", None])
def test_an_address_on_which_haproxy_would_find_nobody(session, monkeypatch, host):
    session._serves_on = host
    start(session, monkeypatch)
    assert "RAY_SERVE_ENABLE_HA_PROXY" not in os.environ
