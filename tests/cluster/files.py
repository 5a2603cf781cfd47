"""The files of cluster/, read."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "cluster"
LAUNCHER = sorted(FOLDER.glob("*.yaml"))
KUBERAY = sorted((FOLDER / "kuberay").glob("*.yaml"))
WHOLE_CLUSTERS = ("development", "job")  # those of KubeRay that have all pools


def manifests(path: Path) -> list[dict[str, Any]]:
    """Return the resources of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def ray_cluster(name: str) -> dict[str, Any]:
    """Return the specification of the Ray cluster in a file of kuberay/."""
    (resource,) = manifests(FOLDER / "kuberay" / f"{name}.yaml")
    spec = resource["spec"]
    return spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec


def groups(name: str) -> list[dict[str, Any]]:
    """Return its groups of pods, the head's first."""
    spec = ray_cluster(name)
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def labels_of_nodes(path: Path) -> list[dict[str, str]]:
    """Return the labels of each type of nodes in a file of either kind."""
    if path in LAUNCHER:
        types = yaml.safe_load(path.read_text())["available_node_types"].values()
        return [each["labels"] for each in types]
    return [group["labels"] for group in groups(path.stem)]
