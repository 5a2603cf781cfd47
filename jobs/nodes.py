"""The nodes of a cluster, those that it may start, and whether some are what a recipe's labels ask for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.console import say
from jobs.resources import Need, needs
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.yaml_file import read_yaml

# On the head of a cluster that `ray up` started, where the drivers of submitted jobs run: its file.
LAUNCHED = Path("~/ray_bootstrap_config.yaml")

# Labels that Ray gives to nodes.
_RAYS_OWN, _NODE_TYPE = "ray.io/", "ray.io/node-group"
_CHOSEN_BY_PEOPLE = ("ray.io/market-type",)


@dataclass(frozen=True)
class Node:
    """A node, or a type of nodes, as Ray counts its resources."""

    resources: Mapping[str, float]
    labels: Mapping[str, str]

    def has(self, labels: Mapping[str, str]) -> bool:
        """Say whether it has all of some labels."""
        return labels.items() <= self.labels.items()


def living_nodes() -> list[Node]:
    """Return the nodes of the cluster that this process is connected to."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return [Node(node["Resources"], node["Labels"]) for node in nodes if node["Alive"]]


def node_types(nodes: Sequence[Node], launched: Path = LAUNCHED) -> list[Node] | None:
    """Return the types of nodes that a cluster which `ray up` started may come to have beside its head, each
    with the resources of all its nodes; None: another one started it, as on Kubernetes, and does not say so
    here.
    """
    path = launched.expanduser()
    if not path.is_file():
        return None
    config = read_yaml(path, what="file of the cluster")
    if not any(node.labels.get(_NODE_TYPE) == config["head_node_type"] for node in nodes):
        return None  # it tells of another cluster, which once was here
    types: dict[str, dict[str, Any]] = config["available_node_types"]
    return [_all_of(kind) for name, kind in types.items() if name != config["head_node_type"]]


def _all_of(kind: Mapping[str, Any]) -> Node:
    most = kind.get("max_workers", 0)
    resources = {name: most * amount for name, amount in kind["resources"].items()}
    return Node(resources, kind.get("labels", {}))


def check_nodes(recipe: Recipe, stages: Collection[str], grows: bool) -> None:
    """Do `check_labels` for the cluster that this process is connected to."""
    nodes = living_nodes()
    check_labels(recipe, stages, nodes, node_types(nodes), grows)


def check_labels(
    recipe: Recipe,
    stages: Collection[str],
    nodes: Sequence[Node],
    types: Sequence[Node] | None,
    grows: bool,
) -> None:
    """Raise UserError for the first stage that waits for nodes with labels which no node can have, or for
    more of them than there can be; where a cluster `grows` by nodes with these labels, only tell of it.
    """
    for need in needs(recipe):
        if need.stage in stages and need.labels:
            _check(need, nodes, types, grows)


def _check(need: Need, nodes: Sequence[Node], types: Sequence[Node] | None, grows: bool) -> None:
    ours = [node for node in nodes if node.has(need.labels)]
    if need.fits(_total(ours)):
        return
    coming = None if types is None else [each for each in types if each.has(need.labels)]
    if grows and (coming is None or (coming and need.fits(_total([*ours, *coming])))):
        say(f"no node that is free for {need.stage} has {_listed(need.labels)} now, so it will wait for one")
    elif ours or coming:
        raise UserError(
            f"{need}, and the nodes with {_listed(need.labels)} have less",
            f"ask for less in {need.key}, or choose other nodes with {need.labels_key}",
        )
    else:
        known = _known([*nodes, *(types or ())])
        raise UserError(
            f"{need.labels_key} asks for nodes with {_listed(need.labels)}, and no node"
            f"{' and no type of nodes' if types else ''} of this cluster has that",
            f"correct {need.labels_key}, or leave it out for any node; there is {known}",
        )


def _total(nodes: Sequence[Node]) -> dict[str, float]:
    return {name: sum(node.resources.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}


def _known(nodes: Sequence[Node]) -> str:
    """Return the labels that people have given to nodes."""
    given = {
        _listed({key: value})
        for node in nodes
        for key, value in node.labels.items()
        if not key.startswith(_RAYS_OWN) or key in _CHOSEN_BY_PEOPLE
    }
    return ", ".join(sorted(given)) or "no label"


def _listed(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
