"""The endpoint on it is in tests/serve/test_app.py."""

import socket

from jobs.haproxy import PORTS, free_ports, haproxy_environment


def test_files_and_ports_are_a_clusters_own():
    one, other = haproxy_environment("/tmp/one"), haproxy_environment("/tmp/other")
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] == other[name]} == {"RAY_SERVE_ENABLE_HA_PROXY"}
    assert len({one[name] for name in PORTS}) == len(PORTS)


def test_ports_are_free():
    (port,) = free_ports(1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
