"""Fixtures of the whole suite. Set the environment before anything imports torch or Ray."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from jobs.haproxy import haproxy_environment

if TYPE_CHECKING:
    from pathlib import Path

    from t2ipal.store import Store
    from tests.gcs_server import GcsServer
    from tests.s3_server import S3Server

# One thread a process: on a small or busy machine the threads of several processes wait for each other.
for name, value in {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps to the loopback address, on Linux too
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_AUTH_MODE": "disabled",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # For the S3 server of the tests, which takes any.
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}.items():
    os.environ.setdefault(name, value)

# Dozens of processes import torch, transformers and vLLM. Where no bytecode is kept each of them compiles
# these anew, and that is most of what a test with Ray costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def precision_of_its_own() -> None:
    """Accelerate keeps the precision of the first Accelerator of a process for all others."""
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A cluster of 4 logical CPUs (whatever the machine has) for all tests that need one."""
    import ray

    # A short path of its own: socket names below it have to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        serving = haproxy_environment(folder) | {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1"}
        with pytest.MonkeyPatch.context() as patch:  # for the processes that it starts
            for name, value in serving.items():
                patch.setenv(name, value)
            ray.init(
                address="local",
                num_cpus=4,
                object_store_memory=150 * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
            )
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def s3() -> "Iterator[S3Server]":
    """A server of the S3 protocol on this machine."""
    from tests.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> "Iterator[GcsServer]":
    """An emulator of Google Cloud Storage on this machine."""
    from tests.gcs_server import GcsServer

    with GcsServer() as server:
        yield server


@pytest.fixture(params=["local", "s3", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: "Path") -> "Store":
    """An empty run, in a local folder and in object stores."""
    from t2ipal.store import Store

    if request.param == "local":
        return Store.open(str(tmp_path / "run"))
    return Store.open(request.getfixturevalue(request.param).uri(tmp_path.name))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in two processes; a part of it, asked for by its path, in this one."""
    return 2 if config.args_source is not pytest.Config.ArgsSource.ARGS else 0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Two clusters on one machine disturb each other: what starts Ray keeps to one process, and the jobs that
    start their own come before the suite's cluster is up.
    """
    items.sort(key=lambda item: item.get_closest_marker("whole_job") is None)
    with_ray = [
        item
        for item in items
        if item.get_closest_marker("whole_job") or "ray_cluster" in getattr(item, "fixturenames", ())
    ]
    for item in with_ray:
        item.add_marker(pytest.mark.xdist_group("ray"))
    yield  # xdist writes the groups into the names
    if "PYTEST_XDIST_WORKER" in os.environ and not all(item.nodeid.endswith("@ray") for item in with_ray):
        raise RuntimeError("this pytest-xdist does not know the groups of this pytest: change their versions")


def pytest_collection_finish() -> None:
    """Tuning collects garbage after each phase, which takes long over all that was imported for the tests."""
    gc.freeze()
