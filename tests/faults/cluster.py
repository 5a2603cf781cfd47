"""A Ray cluster of several nodes on this machine, whose processes and nodes can be killed."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil
import ray
from ray._common.utils import get_default_ray_temp_dir
from ray.cluster_utils import Cluster

Result = TypeVar("Result")

PATIENCE_S = 600  # two slow cores start three engines in some 4 minutes
# A node that is gone is missed after 2 s, not after 30.
_WATCHFUL = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
}
_LOOPBACK = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}


class Nodes:
    """Three nodes with one logical CPU each; the driver is on the first, which stays."""

    def __init__(self, folder: str) -> None:
        head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": folder, "_system_config": _WATCHFUL}
        # Where it notes its address, whatever the folder that it is given.
        os.makedirs(get_default_ray_temp_dir(), exist_ok=True)
        self._cluster = Cluster(initialize_head=True, head_node_args=head | _LOOPBACK)
        self.address = self._cluster.address
        self._large: Any = None
        self.restore()

    def restore(self) -> None:
        """Bring the cluster back to three nodes."""
        self.remove_large()
        while len(self._cluster.worker_nodes) < 2:
            self._cluster.add_node(num_cpus=1, **_LOOPBACK)

    def add_large(self) -> None:
        """Add a node with two logical CPUs, the only one."""
        self._large = self._cluster.add_node(num_cpus=2, **_LOOPBACK)

    def remove_large(self) -> None:
        """Kill that node, if it is there, and all that runs on it."""
        if self._large is not None:
            self._cluster.remove_node(self._large, allow_graceful=False)
            self._large = None

    def counted(self) -> None:
        """Wait until Ray knows which nodes there are, and have Ray Train know it too: else that looks every
        20 s.
        """
        until(lambda: sum(node["Alive"] for node in ray.nodes()) == len(self._all()))
        coordinator = ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator")
        ray.get(coordinator.get_reserved_resources.remote("", recompute=True))

    def workers(self, name: str) -> list[psutil.Process]:
        """Return the worker processes of all nodes whose title holds a name, such as a class of actors."""
        return [worker for node in self._all() for worker in _workers(node, name)]

    def remove_one_with(self, name: str) -> None:
        """Kill a node, other than the driver's, on which such a worker is, and all that runs there."""
        node = next(node for node in self._cluster.worker_nodes if _workers(node, name))
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        """Stop all processes."""
        self._cluster.shutdown()

    def _all(self) -> list[Any]:
        return [self._cluster.head_node, *self._cluster.worker_nodes]


@contextmanager
def three_nodes() -> Iterator[Nodes]:
    """A cluster that this process is connected to."""
    # A short path of its own: socket names below it have to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        nodes = Nodes(folder)
        try:
            ray.init(address=nodes.address, log_to_driver=False, _node_ip_address="127.0.0.1")
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


def disturbed(work: Callable[[], Result], reached: Callable[[], bool], fault: Callable[[], None]) -> Result:
    """Do some work, cause a fault as soon as a point in it is reached, and return what the work returns."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)  # a test that waits in vain is to end
    thread.start()
    until(lambda: reached() or not thread.is_alive())
    assert thread.is_alive(), f"the work ended before it was disturbed: {errors or results}"
    fault()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the work did not end"
    if errors:
        raise errors[0]
    return results[0]


def until(reached: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _workers(node: Any, name: str) -> list[psutil.Process]:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [process for process in raylet.children(recursive=True) if name in _title(process)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:  # gone meanwhile
        return ""
