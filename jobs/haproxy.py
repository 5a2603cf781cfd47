"""The HTTP server of a private cluster: HAProxy, which comes with Ray Serve, in place of a process of Python.

A request costs it next to nothing, where Serve's own proxy takes as long as the frontend behind it, and
cannot hand on more than some hundred requests a second. HAProxy sends them to the frontends' own ports.
"""

import socket
from contextlib import ExitStack

PLACES = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "metrics.sock",
}
PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",  # where Serve's own proxy waits for when there is no frontend
)


def haproxy_environment(folder: str) -> dict[str, str]:
    """Return the variables with which Serve, on a cluster of one node whose files are in `folder`, uses it.

    Files and ports are the cluster's own, as there may be others on the machine.
    """
    places = {name: f"{folder}/h/{file}" for name, file in PLACES.items()}
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    base = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{folder}/h"}
    return base | places | ports


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback address on which nobody listens just now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
