"""Which bundle was loaded last under each name, for replicas that start when another one does not load.

It lies in the store of Ray's head node, beside what Serve itself remembers there, and lives as long.
"""

from collections.abc import Mapping

from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

_NAMESPACE = "t2ipal-bundles"


def remember(application: str, sources: Mapping[str, str]) -> None:
    """Note the URIs of bundles that answer, by the names of their recognizers."""
    for name, uri in sources.items():
        _internal_kv_put(_key(application, name), uri.encode(), namespace=_NAMESPACE.encode())


def last_good(application: str, name: str) -> str | None:
    """Return the URI of the bundle that answered last under a name, or None."""
    found: bytes | None = _internal_kv_get(_key(application, name), namespace=_NAMESPACE.encode())
    return found.decode() if found is not None else None


def _key(application: str, name: str) -> bytes:
    return f"{application}/{name}".encode()
