"""Ray's figures of this machine, as Prometheus reads them."""

import asyncio

import aiohttp
import ray

from serve.incoming import refuse

_OURS = ("ray_serve_", "ray_t2ipal_")
TIMEOUT_S = 5.0


async def of_this_node() -> str:
    """Return what Serve and this application measure here; Refused where Ray exports nothing."""
    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in await asyncio.to_thread(ray.nodes) if node["NodeID"] == here]
    if not nodes:
        raise refuse(503, "Ray does not know this machine yet")
    (node,) = nodes
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session,
            session.get(url) as response,
        ):
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise refuse(503, f"Ray exports no metrics on this machine: {error}") from error
    return "".join(line for line in text.splitlines(keepends=True) if _is_ours(line))


def _is_ours(line: str) -> bool:
    name = line.split(" ", 3)[2] if line.startswith("# ") else line
    return name.startswith(_OURS)
