"""What Ray exports for Prometheus on this machine, and what a dashboard asks for."""

import re
from typing import Any

import httpx


def names_in(text: str | dict[str, Any]) -> set[str]:
    """Return the names of Ray's figures in a dashboard's queries, or in what is exported."""
    if isinstance(text, dict):
        queries = (target["expr"] for panel in text["panels"] for target in panel.get("targets", ()))
        return {name for query in queries for name in re.findall(r"\bray_\w+", query)}
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line.startswith("ray_")}


def figures_of_this_node() -> str:
    """Return what Ray exports here."""
    import ray

    (node,) = [each for each in ray.nodes() if each["Alive"]]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    return httpx.get(address, timeout=60).text
