"""Where the stages run: on the machines of a cluster file, or on this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.planning.hardware import Hardware
from jobs.planning.needs import Ask
from jobs.planning.prices import THIS_MACHINE, PriceTable
from t2ipal.errors import UserError
from t2ipal.yaml_file import read_yaml


@dataclass(frozen=True)
class NodeType:
    """Machines of one kind, of which there can be at most `most`."""

    name: str
    hardware: Hardware
    machine: str  # the cloud's type
    region: str | None
    cpus: float  # as Ray counts them
    gpus: float
    most: int
    spot: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0  # Ray prefers the kind with the highest
    idle_s: float = 0.0  # until a machine without work is given back

    def has(self, labels: Mapping[str, str]) -> bool:
        """Say whether it has all of some labels."""
        return labels.items() <= self.labels.items()

    def workers(self, ask: Ask) -> int:
        """Return how many workers a machine has room for."""
        rooms = [
            int(has / each + 1e-9) for has, each in ((self.cpus, ask.cpus), (self.gpus, ask.gpus)) if each
        ]
        return min(rooms) if rooms else ask.most


@dataclass(frozen=True)
class Cluster:
    """A head, on which the driver runs, and the kinds of machines for workers."""

    head: NodeType
    types: tuple[NodeType, ...]
    most: int  # machines for workers, of all kinds
    is_ours: bool = False
    """Whether it is this machine alone."""

    def place(self, ask: Ask) -> list[NodeType]:
        """Return the kinds of machines that have room for such a worker, those to be preferred first.

        As Ray does, work without GPUs is kept from machines that have some where there are others.
        """
        if ask.on_driver:
            return [self.head]
        if self.is_ours:
            return [self.head] if self.head.workers(ask) else []
        fitting = [each for each in self.types if each.has(ask.labels) and each.workers(ask)]
        return sorted(fitting, key=lambda each: (bool(each.gpus) != bool(ask.gpus), -each.priority))


def local_cluster(hardware: Hardware, cpus: int | None) -> Cluster:
    """Return this machine as the cluster that a job starts for itself, of so many logical CPUs."""
    node = NodeType(
        name=THIS_MACHINE,
        hardware=hardware,
        machine=hardware.type or THIS_MACHINE,
        region=None,
        cpus=float(cpus or hardware.cores or 1),
        gpus=float(len(hardware.gpus)),
        most=1,
    )
    return Cluster(node, (node,), 1, is_ours=True)


def read_cluster(path: str, prices: PriceTable) -> Cluster:
    """Read a file of Ray's cluster launcher for AWS or Google's cloud; UserError where it is none."""
    content: Any = read_yaml(path, what="cluster file")
    try:
        types, head = content["available_node_types"], content["head_node_type"]
        region = content["provider"].get("region")
        nodes = {name: _node_type(name, each, content, region, prices) for name, each in types.items()}
        return Cluster(
            nodes[head],
            tuple(each for name, each in nodes.items() if name != head),
            content.get("max_workers", 2),  # Ray's own default
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path!r} is no file of Ray's cluster launcher for AWS or Google's cloud: {error!r}",
            "give one such as cluster/aws.yaml",
        ) from error


def _node_type(
    name: str, node: Mapping[str, Any], content: Mapping[str, Any], region: str | None, prices: PriceTable
) -> NodeType:
    config, resources = node["node_config"], node.get("resources", {})
    machine = config.get("InstanceType") or config["machineType"].rpartition("/")[2]
    price = prices.machine(machine, region)
    gpus = () if price is None or price.gpu is None else (price.gpu,) * price.gpus
    return NodeType(
        name=name,
        hardware=Hardware(type=machine, gpus=gpus),
        machine=machine,
        region=region,
        cpus=float(resources.get("CPU", 0)),
        gpus=float(resources.get("GPU", 0)),
        most=node.get("max_workers", content.get("max_workers", 2)),
        spot=_is_spot(config),
        labels=node.get("labels", {}),
        priority=node.get("priority", 0),
        idle_s=node.get("idle_timeout_s", 60.0 * content.get("idle_timeout_minutes", 5.0)),
    )


def _is_spot(config: Mapping[str, Any]) -> bool:
    scheduling = config.get("scheduling") or {}
    parts = scheduling if isinstance(scheduling, list) else [scheduling]
    google = any(each.get("preemptible") or each.get("provisioningModel") == "SPOT" for each in parts)
    aws: Mapping[str, Any] = config.get("InstanceMarketOptions") or {}
    return google or aws.get("MarketType") == "spot"
