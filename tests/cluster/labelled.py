"""A Ray cluster on this machine whose nodes have labels, and what runs on which of them."""

import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray.cluster_utils import Cluster

from tests.faults.cluster import LOOPBACK, titles_on

POOL = "t2ipal/pool"


class Labelled:
    """A head without CPUs, and a node with two logical CPUs for each pool."""

    def __init__(self, folder: str, pools: Sequence[str]) -> None:
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": folder}
        # Where it notes its address, whatever the folder that it is given.
        os.makedirs(get_default_ray_temp_dir(), exist_ok=True)
        self.cluster = Cluster(initialize_head=True, head_node_args=head | LOOPBACK)
        self.address = self.cluster.address
        self._nodes = {pool: self._add({POOL: pool}) for pool in pools}

    def _add(self, labels: Mapping[str, str]) -> Any:
        return self.cluster.add_node(num_cpus=2, labels=dict(labels), **LOOPBACK)

    @contextmanager
    def watched(self, names: Sequence[str]) -> Iterator[dict[str, set[str]]]:
        """Within, note on which pools' nodes there are workers whose titles hold these names."""
        seen: dict[str, set[str]] = defaultdict(set)
        ended = threading.Event()

        def look() -> None:
            while not ended.is_set():
                for pool, node in self._nodes.items():
                    titles = titles_on(node)
                    for name in names:
                        if any(name in title for title in titles):
                            seen[name].add(pool)
                time.sleep(0.5)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


@contextmanager
def labelled_nodes(*pools: str) -> Iterator[Labelled]:
    """A cluster to which nothing is connected yet."""
    # A short path of its own: socket names below it have to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        nodes = Labelled(folder, pools)
        try:
            yield nodes
        finally:
            nodes.cluster.shutdown()


@contextmanager
def connected(nodes: Labelled) -> Iterator[None]:
    """Within, this process is a driver on the cluster."""
    ray.init(address=nodes.address, log_to_driver=False, _node_ip_address="127.0.0.1")
    try:
        yield
    finally:
        ray.shutdown()
