"""The shards of one stage's table, their manifests, and what is known of them.

A shard is written whole and then its manifest, so a shard with a manifest is done and a shard without one is
redone.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from t2ipal.errors import UserError

if TYPE_CHECKING:
    from t2ipal.store import Store

_MANIFESTS = "_manifests"  # the folder; readers of Parquet folders pass over it
_ROWS, _MANIFEST = ".parquet", ".json"
_CLOCK_TICK_NS = 2 * 10**9  # object stores tell the second
_MANIFEST_READERS = 32  # on an object store every manifest costs two round trips


@dataclass(frozen=True)
class Manifest:
    """What is known of a finished shard; `sha256` is of the Parquet file, `extra` is the stage's own."""

    rows: int
    bytes: int
    sha256: str
    fingerprint: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ManifestCache:
    """Manifests that were read, for as long as a listing says the same of their files.

    A job looks at its tables again and again, and listing a thousand files is one request. Only what lies in
    an object store is kept: a local file is read as fast.
    """

    _known: dict[str, tuple[object, Manifest | None]] = field(default_factory=dict)
    _now_ns: int = 0  # by the store's clock, as far as its files tell

    def listed(self, files: Iterable[fs.FileInfo]) -> None:
        """Take note of what time it was when files were listed."""
        self._now_ns = max([self._now_ns, *(file.mtime_ns for file in files)])

    def get(self, file: fs.FileInfo, read: Callable[[], Manifest | None]) -> Manifest | None:
        """Return the manifest in a listed file, or None where it holds none."""
        version = (file.size, file.mtime_ns)
        known = self._known.get(file.path)
        if known is not None and known[0] == version:
            return known[1]
        manifest = read()
        # A file of this very second may be written again without another time.
        if self._now_ns - file.mtime_ns >= _CLOCK_TICK_NS:
            self._known[file.path] = (version, manifest)
        return manifest

    def forget(self, path: str) -> None:
        """Read the file anew next time, whatever a listing says."""
        self._known.pop(path, None)


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
        manifests, rows = self.manifest_files(), self.row_files()
        names = sorted(manifests.keys() & rows.keys())
        read = self._reader(manifests)
        with ThreadPoolExecutor(_MANIFEST_READERS) as pool:
            return {
                name: manifest
                for name, manifest in zip(names, pool.map(read, names), strict=True)
                if manifest and manifest.bytes == rows[name].size and manifest.fingerprint == self.fingerprint
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
        return sorted({*self.row_files(), *self.manifest_files()})

    def row_files(self) -> dict[str, fs.FileInfo]:
        """Return the listed Parquet files by the names of their shards."""
        return self._files(self.stage, _ROWS)

    def manifest_files(self) -> dict[str, fs.FileInfo]:
        """Return the listed manifests by the names of their shards."""
        return self._files(f"{self.stage}/{_MANIFESTS}", _MANIFEST)

    def unfinished_files(self) -> list[str]:
        """Return the files, relative to the table's folder, that were being written when a process was
        killed, or still are.
        """
        folders = {"": self.stage, f"{_MANIFESTS}/": f"{self.stage}/{_MANIFESTS}"}
        return [
            f"{prefix}{file.base_name}"
            for prefix, folder in folders.items()
            for file in self.store.files(folder)
            if file.is_file and file.base_name.startswith(".") and file.base_name.endswith(".tmp")
        ]

    def delete(self, names: Iterable[str]) -> None:
        """Remove shards, the manifest first: what is half removed is not done."""
        for name in names:
            self._forget(name)
            for path in (self._manifest_path(name), self._parquet(name)):
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
        self.store.write_json(self._manifest_path(name), asdict(manifest))
        self._forget(name)
        return manifest

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a shard, or some of its columns without fetching the others.

        Raises FileNotFoundError when there is none, UserError when it cannot be read.
        """
        try:
            if columns is None:
                return parse(self.content(name))
            with self.store.filesystem.open_input_file(self.store.path(self._parquet(name))) as file:
                return pq.read_table(file, columns=list(columns))
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"cannot read the shard {self.stage}/{name} in {self.store.uri!r}: {error}",
                "if it is damaged, jobs/verify.py with --repair removes it, and the same command makes it "
                "again",
            ) from error

    def content(self, name: str) -> bytes:
        """Return the bytes of a shard's Parquet file; FileNotFoundError if there is none."""
        return self.store.read_bytes(self._parquet(name))

    def manifest(self, name: str) -> Manifest | None:
        """Return the shard's manifest, or None when it is absent or not readable as one."""
        try:
            return Manifest(**self.store.read_json(self._manifest_path(name)))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _reader(self, files: dict[str, fs.FileInfo]) -> Callable[[str], Manifest | None]:
        """Return what gives a manifest by name, given their listed files."""
        if isinstance(self.store.filesystem, fs.LocalFileSystem):
            return self.manifest
        cache = self.store.manifests
        cache.listed(files.values())
        return lambda name: cache.get(files[name], lambda: self.manifest(name))

    def _forget(self, name: str) -> None:
        self.store.manifests.forget(self.store.path(self._manifest_path(name)))

    def _parquet(self, name: str) -> str:
        return f"{self.stage}/{name}{_ROWS}"

    def _manifest_path(self, name: str) -> str:
        return f"{self.stage}/{_MANIFESTS}/{name}{_MANIFEST}"

    def _files(self, folder: str, suffix: str) -> dict[str, fs.FileInfo]:
        files = self.store.files(folder)
        return {
            file.base_name.removesuffix(suffix): file
            for file in files
            if file.is_file and file.base_name.endswith(suffix)
        }


def parse(content: bytes) -> pa.Table:
    """Return the rows in a shard's bytes; pyarrow's ArrowException or OSError when they are none."""
    return pq.read_table(pa.BufferReader(content))
