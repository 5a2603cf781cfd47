"""Fixtures of the whole suite. Set the environment before anything imports torch or Ray."""

import gc
import os
import tempfile
from collections.abc import Iterator

import pytest

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
}.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A cluster of 4 logical CPUs (whatever the machine has) for all tests that need one."""
    import ray

    # A short path of its own: socket names below it have to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two clusters on one machine disturb each other: the jobs that start their own come before ours."""
    items.sort(key=lambda item: item.get_closest_marker("whole_job") is None)


def pytest_collection_finish() -> None:
    """Tuning collects garbage after each phase, which takes long over all that was imported for the tests."""
    gc.freeze()
