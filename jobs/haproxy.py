"""The HTTP server of a private cluster: HAProxy, which comes with Ray Serve, in place of a process of Python.

Serve's own proxy reads every request, makes it a call of an actor, and hands on what comes back, on one core.
HAProxy sends bytes to the frontends' own ports, as many as there are.
"""

import random
import resource
import socket
from contextlib import suppress

# Serve has it look for frontends of its own node on 127.0.0.1, whatever address they listen on.
HOSTS = ("127.0.0.1", "0.0.0.0")
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
# Above those that Serve gives to frontends, below those that the kernel gives to anybody in the meantime.
RANGE = range(31_001, 32_768)
HEADER_BYTES = 2**16  # of a request's line and headers: a hundred names of classes may be in a query
MOST_CONNECTIONS = 4096


def haproxy_environment(folder: str) -> dict[str, str]:
    """Return the variables with which Serve, on a cluster of one node whose files are in `folder`, uses it.

    Files, and ports but for the frontends', are the cluster's own, as there may be others on the machine.
    """
    places = {name: f"{folder}/h/{file}" for name, file in PLACES.items()}
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    # It does not start where the system lets it have too few open files; a connection takes three at most.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files // 3)
    bounds = {"RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(HEADER_BYTES), "RAY_SERVE_HAPROXY_MAXCONN": str(most)}
    base = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{folder}/h"}
    return base | places | ports | bounds


def free_ports(count: int) -> list[int]:
    """Return different ports on which nobody listens just now, and that are given to nobody unasked."""
    found: list[int] = []
    for port in random.SystemRandom().sample(RANGE, len(RANGE)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} ports from {RANGE.start} to {RANGE.stop - 1} are free")
