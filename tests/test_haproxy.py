"""The endpoint on it is in tests/serve/test_app.py."""

import resource
import socket

from jobs.haproxy import PORTS, free_ports, haproxy_environment


def test_files_and_ports_are_a_clusters_own():
    one, other = haproxy_environment("/tmp/one"), haproxy_environment("/tmp/other")
    assert one.keys() == other.keys()
    for environment, folder in ((one, "/tmp/one/"), (other, "/tmp/other/")):
        assert sum(value.startswith(folder) for value in environment.values()) == 5
    ports = {environment[name] for environment in (one, other) for name in PORTS}
    assert len(ports) == 2 * len(PORTS)


def test_it_starts_where_few_files_may_be_open(monkeypatch):
    for most, connections in ((20_000, "4096"), (4_096, "1365"), (resource.RLIM_INFINITY, "4096")):
        monkeypatch.setattr(resource, "getrlimit", lambda _, most=most: (1024, most))
        assert haproxy_environment("/tmp/one")["RAY_SERVE_HAPROXY_MAXCONN"] == connections


def test_ports_are_free():
    (port,) = free_ports(1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
