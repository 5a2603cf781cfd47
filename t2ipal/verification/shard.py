"""One shard against its manifest and against its place in the plan."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyarrow import fs

from t2ipal.shards import Manifest, Shards, parse
from t2ipal.verification.fault import Fault, Kind


@dataclass(frozen=True)
class Planned:
    """A shard that a table is to have, and how to tell whether it is the right one."""

    name: str
    source: Mapping[str, Any] = field(default_factory=dict)
    """What its manifest says of what it was made from."""
    problem: Callable[[pa.Table], str] = lambda rows: ""
    """Says what is wrong with its rows; nothing if they are right."""


@dataclass(frozen=True)
class Listing:
    """The shards of a table that have a file of rows, and those that have a manifest, with these files."""

    rows: Mapping[str, fs.FileInfo]
    manifests: Mapping[str, fs.FileInfo]

    def state(self, name: str) -> list[tuple[int, int] | None]:
        """Return the size and time of each file of a shard: what is written anew has others."""
        files = (self.rows.get(name), self.manifests.get(name))
        return [None if file is None else (file.size, file.mtime_ns) for file in files]


class _Wrong(Exception):
    """Ends the check of a shard."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason


def check_shard(shards: Shards, listing: Listing, planned: Planned) -> tuple[int, Fault | None]:
    """Return the number of rows of a shard, and what is wrong with it. The whole shard is read to memory."""
    try:
        return _right_rows(shards, listing, planned), None
    except _Wrong as wrong:
        return 0, Fault(wrong.kind, shards.stage, planned.name, wrong.reason)


def _right_rows(shards: Shards, listing: Listing, planned: Planned) -> int:
    manifest = _manifest(shards, listing, planned.name)
    rows = _rows(shards, planned.name, manifest)
    if rows.num_rows != manifest.rows:
        raise _Wrong("changed", f"it has {rows.num_rows} rows, and its manifest says {manifest.rows}")
    if not planned.source.items() <= manifest.extra.items():
        raise _Wrong("changed", "what it was made from has changed since")
    if problem := planned.problem(rows):
        raise _Wrong("changed", problem)
    return manifest.rows


def _manifest(shards: Shards, listing: Listing, name: str) -> Manifest:
    if name not in listing.rows:
        raise _Wrong("missing", "its rows are gone" if name in listing.manifests else "it is not there")
    if name not in listing.manifests:
        raise _Wrong("missing", "it has no manifest, so it was not finished")
    manifest = shards.manifest(name)
    if manifest is None:
        if name not in shards.manifest_files():
            raise _Wrong("missing", "its manifest is gone")
        raise _Wrong("torn", "its manifest cannot be read")
    if manifest.fingerprint != shards.fingerprint:
        raise _Wrong("foreign", "it was written under another recipe")
    return manifest


def _rows(shards: Shards, name: str, manifest: Manifest) -> pa.Table:
    try:
        content = shards.content(name)
    except FileNotFoundError:
        raise _Wrong("missing", "its rows are gone") from None
    if len(content) != manifest.bytes:
        raise _Wrong("torn", f"its file has {len(content)} bytes, and {manifest.bytes} were written")
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise _Wrong("changed", "its bytes are not those that were written")
    try:
        return parse(content)
    except (OSError, pa.ArrowException) as error:
        raise _Wrong("torn", f"its file is not Parquet: {error}") from error
