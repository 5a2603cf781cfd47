"""The shards of one stage's table, their manifests, and what is known of them.

A shard is written whole and then its manifest, so a shard with a manifest is done and a shard without one is
redone.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

if TYPE_CHECKING:
    from t2ipal.store import Store

_MANIFEST_READERS = 16  # on an object store every manifest costs a round trip


@dataclass(frozen=True)
class Manifest:
    """What is known of a finished shard; `sha256` is of the Parquet file, `extra` is the stage's own."""

    rows: int
    bytes: int
    sha256: str
    fingerprint: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shards:
    """The table of one stage, in shards with deterministic names. Small and picklable: workers get a copy."""

    store: "Store"
    stage: str
    fingerprint: str

    def done(self) -> dict[str, Manifest]:
        """Return the finished shards by name, in name order.

        A shard whose Parquet file is gone, or not of the size that its manifest states, is not finished; nor
        is one that was written under another recipe.
        """
        sizes = self._sizes(self.stage, ".parquet")
        names = sorted(set(self._sizes(self._manifests, ".json")) & set(sizes))
        with ThreadPoolExecutor(_MANIFEST_READERS) as pool:
            manifests = zip(names, pool.map(self._manifest, names), strict=True)
        return {
            name: m
            for name, m in manifests
            if m and m.bytes == sizes[name] and m.fingerprint == self.fingerprint
        }

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of the planned names, in their order, that are not done."""
        done = self.done()
        return [name for name in names if name not in done]

    def digest(self, names: Iterable[str]) -> str | None:
        """Return a hash of the rows of some shards, from their manifests; None while one is not done."""
        done = self.done()
        sums = [(name, done[name].sha256 if name in done else None) for name in sorted(names)]
        if any(checksum is None for _, checksum in sums):
            return None
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()

    def written(self) -> list[str]:
        """Return the names of all shards that have rows or a manifest, finished or not."""
        return sorted({*self._sizes(self.stage, ".parquet"), *self._sizes(self._manifests, ".json")})

    def delete(self, names: Iterable[str]) -> None:
        """Remove shards, the manifest first: what is half removed is not done."""
        for name in names:
            for path in (f"{self._manifests}/{name}.json", self._parquet(name)):
                if self.store.exists(path):
                    self.store.delete(path)

    def write(self, name: str, table: pa.Table, extra: dict[str, Any] | None = None) -> Manifest:
        """Write a whole shard, then its manifest. Writing it again replaces it."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        manifest = Manifest(table.num_rows, len(data), digest, self.fingerprint, extra or {})
        self.store.write_bytes(self._parquet(name), data)
        self.store.write_json(f"{self._manifests}/{name}.json", asdict(manifest))
        return manifest

    def read(self, name: str, columns: Sequence[str] | None = None, verify: bool = False) -> pa.Table:
        """Return a shard, or some of its columns without fetching the others; with `verify`, raise ValueError
        first if its checksum is not the manifest's.
        """
        path, chosen = self._parquet(name), list(columns) if columns is not None else None
        if chosen is not None and not verify:
            with self.store.filesystem.open_input_file(self.store.path(path)) as file:
                return pq.read_table(file, columns=chosen)
        data = self.store.read_bytes(path)
        if verify:
            manifest = self._manifest(name)
            if manifest is None or hashlib.sha256(data).hexdigest() != manifest.sha256:
                raise ValueError(f"the shard {self.stage}/{name} is not the one that its manifest describes")
        return pq.read_table(pa.BufferReader(data), columns=chosen)

    @property
    def _manifests(self) -> str:
        return f"{self.stage}/_manifests"

    def _parquet(self, name: str) -> str:
        return f"{self.stage}/{name}.parquet"

    def _manifest(self, name: str) -> Manifest | None:
        """Return the shard's manifest, or None when it is absent or not readable as one."""
        try:
            return Manifest(**self.store.read_json(f"{self._manifests}/{name}.json"))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _sizes(self, folder: str, suffix: str) -> dict[str, int]:
        selector = fs.FileSelector(self.store.path(folder), allow_not_found=True)
        files = self.store.filesystem.get_file_info(selector)
        return {
            f.base_name.removesuffix(suffix): f.size
            for f in files
            if f.is_file and f.base_name.endswith(suffix)
        }
