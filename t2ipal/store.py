"""A run's folder on a local disk or an object store: shards, their manifests, and small JSON files.

    <run>/run.json                        which recipe this run belongs to
    <run>/<stage>/<shard>.parquet         the rows
    <run>/<stage>/_manifests/<shard>.json written after the rows: the shard is done

A shard is written whole and then its manifest, so a shard with a manifest is done and a shard without one is
redone. Readers of Parquet folders pass over `_manifests`, so `<run>/<stage>` can be read as one table by any
tool.
"""

import json
import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from pyarrow import fs

from t2ipal.errors import UserError
from t2ipal.shards import Shards

if TYPE_CHECKING:
    from t2ipal.recipe import Recipe

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Store:
    """The folder of one run. Paths given to its methods are relative to it, with `/`."""

    uri: str  # absolute: works from any process and working directory
    filesystem: fs.FileSystem
    root: str  # the folder's path within `filesystem`
    fingerprints: dict[str, str] = field(
        default_factory=dict
    )  # stage -> fingerprint, known once a recipe has claimed it

    @classmethod
    def open(cls, uri: str, filesystem: fs.FileSystem | None = None) -> Self:
        """Open, creating it where needed, a local path or an `s3://`, `gs://` URI.

        With `filesystem`, `uri` is a path within it. Raises UserError when the folder cannot be written.
        """
        remedy = "give another folder with --run, or correct its permissions or your credentials"
        try:
            if filesystem is not None:
                root, absolute = uri, uri
            elif "://" in uri:
                filesystem, root = fs.FileSystem.from_uri(uri)
                absolute = uri
            else:
                filesystem, root = fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(uri))
                absolute = root
            store = cls(uri=absolute, filesystem=filesystem, root=root.rstrip("/"))
            filesystem.create_dir(store.root, recursive=True)
            store.write_bytes(".writable", b"")
            filesystem.delete_file(store.path(".writable"))
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"cannot write to the run folder {uri!r}: {error}", remedy) from error
        return store

    def path(self, name: str) -> str:
        """Return the path of a file of the run within `filesystem`."""
        return f"{self.root}/{name}"

    def uri_of(self, name: str) -> str:
        """Return the URI of a file or folder of the run, for those who open it without this object."""
        folder, mark, query = self.uri.partition("?")  # as of s3://bucket/run?region=...
        return f"{folder.rstrip('/')}/{name}{mark}{query}"

    def exists(self, name: str) -> bool:
        """Say whether there is a file (not a folder) of this name."""
        return bool(self.filesystem.get_file_info(self.path(name)).is_file)

    def read_bytes(self, name: str) -> bytes:
        """Return a file's content; FileNotFoundError if there is none."""
        with self.filesystem.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file so that a reader, or a crash, sees the old content or the new one, never a part."""
        path = self.path(name)
        if isinstance(self.filesystem, fs.LocalFileSystem):
            _replace_file(Path(path), data)
        else:
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            # An object appears when its upload is completed on closing.
            with self.filesystem.open_output_stream(path) as stream:
                stream.write(data)

    def delete(self, name: str) -> None:
        """Remove a file; FileNotFoundError if there is none."""
        self.filesystem.delete_file(self.path(name))

    def read_json(self, name: str) -> Any:
        """Return a JSON file's content; FileNotFoundError if there is none."""
        return json.loads(self.read_bytes(name))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, atomically."""
        self.write_bytes(name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def claim(self, recipe: "Recipe", stages: Collection[str] | None = None) -> None:
        """Bind the folder to a recipe, or check that it is bound to the same one, as far as `stages` go.

        Settings that do not change any output (workers, pool batch sizes, ports) may differ. Otherwise raises
        UserError with the keys that differ: mixing two recipes would leave rows that no recipe describes.
        """
        fingerprints = recipe.fingerprints()
        if self.exists(RUN_FILE):
            self._check_claim(recipe, fingerprints, fingerprints if stages is None else stages)
        else:
            content = {"stages": fingerprints, "recipe": recipe.settings()}
            self.write_json(RUN_FILE, content)
        self.fingerprints.update(fingerprints)

    def _check_claim(self, recipe: "Recipe", fingerprints: dict[str, str], stages: Collection[str]) -> None:
        remedy = "give another folder with --run, or set the recipe back"
        try:
            known = self.read_json(RUN_FILE)
            bound, before = known["stages"], known["recipe"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.uri}/{RUN_FILE} is damaged: {error!r}", "give another folder with --run"
            ) from error
        changed = [
            stage for stage, value in fingerprints.items() if stage in stages and bound.get(stage) != value
        ]
        if changed:
            keys = ", ".join(recipe.differences(before, changed)) or "the version of t2ipal"
            raise UserError(
                f"the run folder {self.uri!r} holds a run of another recipe; what differs: {keys} "
                f"(from stage {changed[0]!r} on)",
                remedy,
            )

    def shards(self, stage: str) -> Shards:
        """Return the handle of a stage's table."""
        return Shards(store=self, stage=stage, fingerprint=self.fingerprints.get(stage, ""))


def _replace_file(path: Path, data: bytes) -> None:
    """Write beside the target, make the bytes durable, and rename over the target.

    The rename itself may be lost with the machine's power; then the shard is missing, and is redone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
