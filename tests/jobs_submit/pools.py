"""A cluster on this machine that grows and shrinks: Ray's autoscaler, and nodes that are processes."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE

from jobs.haproxy import free_ports
from tests.jobs_submit.head import Head, running_head

PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
IDLE_S = 6
# What `ray up` fills in. Ray's defaults for this provider are not in its wheel.
NOTHING: dict[str, Any] = {
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}
SETTINGS = {
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    # A node that is gone is missed after some 5 s, not after 30.
    "RAY_health_check_period_ms": "1000",
}


@dataclass(frozen=True)
class Node:
    """A node that there is, or was: its pool, and when it lived, in ms; `end` is 0 while it does."""

    node_id: str
    pool: str
    begin: int
    end: int


class Pools:
    """A cluster whose head does no work, and whose nodes come up in pools of one size each."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self._token = (head.folder / ".ray" / "auth_token").read_text().strip()

    def nodes(self) -> list[Node]:
        """Return all nodes that have ever been, but for the head, in the order of their coming."""
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(
            f"{self.head.address}/api/v0/nodes?detail=1&limit=1000", headers=headers
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            rows = json.load(answer)["data"]["result"]["result"]
        found = [
            Node(row["node_id"], _pool(row), row["start_time_ms"], row["end_time_ms"] or 0)
            for row in rows
            if not row["is_head_node"]
        ]
        return sorted(found, key=lambda node: node.begin)

    def alive(self, pool: str) -> list[Node]:
        """Return the nodes of a pool that are there."""
        return [node for node in self.nodes() if node.pool == pool and not node.end]

    def kill(self, node: Node) -> None:
        """Kill a node and all that runs on it, as a machine that is taken away."""
        processes = self.head.process.children(recursive=True)
        (raylet,) = [each for each in processes if _is_raylet_of(each, node)]
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()


@contextmanager
def autoscaling_cluster(pools: Mapping[str, int]) -> Iterator[Pools]:
    """An empty cluster; `pools` are the logical CPUs of a node of each, of which there are two at most."""

    def arguments(head: Head) -> list[str]:
        file = head.folder / "cluster.yaml"
        file.write_text(json.dumps(_config(pools, head.gcs)))  # which is YAML
        return ["--num-cpus=0", f"--autoscaling-config={file}"]

    metrics = {"AUTOSCALER_METRIC_PORT": str(free_ports(1)[0])}
    with running_head(arguments, **SETTINGS, **metrics) as head:
        yield Pools(head)


def _pool(row: Mapping[str, Any]) -> str:
    (pool,) = [name.removeprefix("pool-") for name in row["resources_total"] if name.startswith("pool-")]
    return pool


def _is_raylet_of(process: psutil.Process, node: Node) -> bool:
    try:
        return (
            process.name() == "raylet"
            and process.environ()["RAY_OVERRIDE_NODE_ID_FOR_TESTING"] == node.node_id
        )
    except psutil.Error:  # gone meanwhile
        return False


def _config(pools: Mapping[str, int], gcs: str) -> dict[str, Any]:
    types = {
        name: {
            "resources": {"CPU": cpus, f"pool-{name}": 1, "object_store_memory": 80 * 2**20},
            "min_workers": 0,
            "max_workers": 2,
            "node_config": {},
        }
        for name, cpus in pools.items()
    }
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    return NOTHING | {
        "cluster_name": "pools",
        "max_workers": 2 * len(pools),
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": IDLE_S / 60,
        "provider": {
            "type": "external",
            "module": PROVIDER,
            "gcs_address": gcs,
            "launch_multiple": True,
            "disable_node_updaters": True,  # who starts a process has nothing to install on it
            "disable_launch_config_check": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
        },
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "available_node_types": types | {FAKE_HEAD_NODE_TYPE: head},
    }
