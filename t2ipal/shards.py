"""The shards of one stage's table, their manifests, and what is known of them.

A shard is written whole and then its manifest, so a shard with a manifest is done and a shard without one is
redone.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from t2ipal.errors import UserError
from t2ipal.shard_names import written_shards

if TYPE_CHECKING:
    from t2ipal.store import Store

_MANIFESTS = "_manifests"  # the folder; readers of Parquet folders pass over it
_ROWS, _MANIFEST = ".parquet", ".json"


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
        files, rows = self.manifest_files(), self.row_files()
        names = sorted(files.keys() & rows.keys())
        manifests = self._manifests({name: files[name] for name in names})
        return {
            name: manifest
            for name in names
            if (manifest := manifests[name]) and self._is_done(manifest, rows[name])
        }

    def find(self, name: str) -> Manifest | None:
        """Return the manifest of one shard, or None where it is not finished (see `done`)."""
        if (manifest := self.manifest(name)) is None:
            return None
        file = self.store.find(self._parquet(name))
        return manifest if file is not None and self._is_done(manifest, file) else None

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
        """Return the names of all shards that have rows or a manifest, finished or not; of no other file."""
        return sorted(written_shards(self.stage, self.row_files(), self.manifest_files()))

    def row_files(self) -> dict[str, fs.FileInfo]:
        """Return the listed Parquet files by the names of their shards."""
        return self._files(self.stage, _ROWS)

    def manifest_files(self) -> dict[str, fs.FileInfo]:
        """Return the listed manifests by the names of their shards."""
        return self._files(f"{self.stage}/{_MANIFESTS}", _MANIFEST)

    def delete(self, names: Iterable[str]) -> None:
        """Remove shards, the manifest first: what is half removed is not done."""
        for name in names:
            self.store.manifests.forget(self.stage, name)
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
        self.store.manifests.forget(self.stage, name)
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

    def is_whole(self, name: str, manifest: Manifest) -> bool:
        """Say whether a shard's file holds, byte for byte, what its manifest says was written."""
        try:
            return hashlib.sha256(self.content(name)).hexdigest() == manifest.sha256
        except FileNotFoundError:
            return False

    def content(self, name: str) -> bytes:
        """Return the bytes of a shard's Parquet file; FileNotFoundError if there is none."""
        return self.store.read_bytes(self._parquet(name))

    def manifest(self, name: str) -> Manifest | None:
        """Return the shard's manifest, or None when it is absent or not readable as one."""
        return _manifest(self._manifest_content(name))

    def _is_done(self, manifest: Manifest, file: fs.FileInfo) -> bool:
        return bool(manifest.bytes == file.size and manifest.fingerprint == self.fingerprint)

    def _manifests(self, files: dict[str, fs.FileInfo]) -> dict[str, Manifest | None]:
        """Return the manifests in listed files. Local ones are read as fast as anything that is known of
        them.
        """
        if isinstance(self.store.filesystem, fs.LocalFileSystem):
            return {name: self.manifest(name) for name in files}
        contents = self.store.manifests.contents(self.store, self.stage, files, self._manifest_content)
        return {name: _manifest(content) for name, content in contents.items()}

    def _manifest_content(self, name: str) -> Any:
        try:
            return self.store.read_json(self._manifest_path(name))
        except (FileNotFoundError, ValueError):
            return None

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


def _manifest(content: Any) -> Manifest | None:
    try:
        return Manifest(**content)
    except TypeError:  # no mapping, or of other keys
        return None


def parse(content: bytes) -> pa.Table:
    """Return the rows in a shard's bytes; pyarrow's ArrowException or OSError when they are none."""
    # On this thread alone. Arrow's own threads may outlive the reading by a moment, and one that lets go of
    # Python's bytes last, when the interpreter is already ending, aborts the process (PyBuffer's destructor
    # waits for the GIL, and Python 3.11 ends a thread that does, within code that must not be unwound).
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        return file.read(use_threads=False)
