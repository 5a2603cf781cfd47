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
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from pyarrow import fs

from t2ipal.errors import DamagedFileError, StoreError, UserError
from t2ipal.filesystems import connect, has_folders
from t2ipal.manifest_index import ManifestIndex
from t2ipal.shards import Shards

if TYPE_CHECKING:
    from t2ipal.recipe import Recipe

RUN_FILE = "run.json"
PROBE = ".writable-"  # with which names begin of files that only try whether the folder takes them


@dataclass(frozen=True)
class Store:
    """The folder of one run. Paths given to its methods are relative to it, with `/`."""

    uri: str  # absolute: works from any process and working directory
    filesystem: fs.FileSystem
    root: str  # the folder's path within `filesystem`
    fingerprints: dict[str, str] = field(
        default_factory=dict
    )  # stage -> fingerprint, known once a recipe has claimed it
    manifests: ManifestIndex = field(default_factory=ManifestIndex, compare=False, repr=False)
    _listings: "_Listings" = field(default_factory=lambda: _Listings(), compare=False, repr=False)

    @classmethod
    def open(cls, uri: str, writable: bool = True) -> Self:
        """Open, creating it where needed, a local path or an `s3://`, `gs://` URI.

        Raises UserError when the folder cannot be written; unless it is to be `writable`, nothing is created
        or tried.
        """
        remedy = "give another run folder, or correct its permissions or your credentials"
        try:
            store = cls._at(uri, {}, saves=writable)
            if writable:
                if has_folders(store.filesystem):
                    store.filesystem.create_dir(store.root, recursive=True)
                # A name of its own: several jobs may open the folder at once.
                probe = f"{PROBE}{uuid.uuid4().hex}"
                store.write_bytes(probe, b"")
                store.manifests.listed(store.filesystem.get_file_info([store.path(probe)]))
                store.delete(probe)
        except (OSError, pa.ArrowException, StoreError) as error:
            reason = error.problem if isinstance(error, StoreError) else error
            doing = "write to" if writable else "open"
            raise UserError(f"cannot {doing} the run folder {uri!r}: {reason}", remedy) from error
        return store

    @classmethod
    def _at(cls, uri: str, fingerprints: dict[str, str], saves: bool = False) -> Self:
        filesystem, root, absolute = connect(uri)
        return cls(absolute, filesystem, root.rstrip("/"), fingerprints, ManifestIndex(saves))

    def __reduce__(self) -> tuple[Callable[..., "Store"], tuple[Any, ...]]:
        """Pickle the place, not what leads there: a pickled file system has forgotten to be patient."""
        return type(self)._at, (self.uri, self.fingerprints)

    def path(self, name: str) -> str:
        """Return the path of a file of the run within `filesystem`."""
        return f"{self.root}/{name}"

    def uri_of(self, name: str) -> str:
        """Return the URI of a file or folder of the run, for those who open it without this object."""
        folder, mark, query = self.uri.partition("?")  # as of s3://bucket/run?region=...
        return f"{folder.rstrip('/')}/{name}{mark}{query}"

    def exists(self, name: str) -> bool:
        """Say whether there is a file (not a folder) of this name."""
        return self.find(name) is not None

    def find(self, name: str) -> fs.FileInfo | None:
        """Return what is known of a file, or None where there is none (a folder is none)."""
        with self._explained("find", name):
            found = self.filesystem.get_file_info(self.path(name))
        return found if found.is_file else None

    def files(self, folder: str) -> list[fs.FileInfo]:
        """Return what lies directly in a folder, which need not exist."""
        if (known := self._listings.get(folder)) is not None:
            return known
        selector = fs.FileSelector(self.path(folder), allow_not_found=True)
        with self._explained("list", folder):
            try:
                found = list(self.filesystem.get_file_info(selector))
            except FileNotFoundError:
                # On a local disk pyarrow first lists, then asks whether the folder is missing: one that
                # another process makes in between is reported as not found.
                found = list(self.filesystem.get_file_info(selector))
        self._listings.keep(folder, found)
        return found

    @contextmanager
    def listed_once(self) -> Iterator[None]:
        """Within, folders are listed once only: until this object writes, or is told that others will."""
        self._listings.begin()
        try:
            yield
        finally:
            self._listings.end()

    def expect_changes(self) -> None:
        """Look at folders anew from now on: others begin to write."""
        self._listings.end()

    def apart(self) -> Self:
        """Return the same folder as an object of its own: writing through one leaves what the other has
        listed.
        """
        return replace(self, _listings=_Listings())

    def all_files(self) -> list[fs.FileInfo]:
        """Return all files of the run, in whatever folder; `name_of` gives their names."""
        with self._explained("list", "."):
            selector = fs.FileSelector(self.root, allow_not_found=True, recursive=True)
            return [file for file in self.filesystem.get_file_info(selector) if file.is_file]

    def name_of(self, file: fs.FileInfo) -> str:
        """Return the name of a listed file, relative to the run's folder."""
        return str(file.path)[len(self.root) :].lstrip("/")

    def read_bytes(self, name: str) -> bytes:
        """Return a file's content; FileNotFoundError if there is none."""
        # Not as a stream, which asks an object store for 256 KiB at a time.
        with self._explained("read", name), self.filesystem.open_input_file(self.path(name)) as file:
            return bytes(file.read())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file so that a reader, or a crash, sees the old content or the new one, never a part."""
        path = self.path(name)
        self._listings.end()
        with self._explained("write", name):
            if isinstance(self.filesystem, fs.LocalFileSystem):
                _replace_file(Path(path), data)
                return
            if has_folders(self.filesystem):
                self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            # An object appears when its upload is completed on closing.
            with self.filesystem.open_output_stream(path) as stream:
                stream.write(data)

    def delete(self, name: str) -> None:
        """Remove a file; FileNotFoundError if there is none."""
        self._listings.end()
        with self._explained("delete", name):
            self.filesystem.delete_file(self.path(name))

    def delete_folder(self, name: str) -> None:
        """Remove a folder and all that is in it, if it is there."""
        path = self.path(name)
        with self._explained("delete", name):
            if self.filesystem.get_file_info(path).type == fs.FileType.NotFound:
                return
            self._listings.end()
            # Where a folder is but a part of names, it is gone with the last file in it.
            with suppress(FileNotFoundError):
                self.filesystem.delete_dir(path)

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        """Within, any error of where the run is kept, other than a missing file, becomes a StoreError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(
                f"cannot {doing} {name!r} in the run folder {self.uri!r}: {error}",
                "make room there, or wait until it answers and can be written again; then give the same "
                "command: what is finished is kept",
            ) from error

    def read_json(self, name: str) -> Any:
        """Return a JSON file's content; FileNotFoundError if there is none, DamagedFileError if it is not
        JSON.
        """
        # An object is read by two requests, for its size and for so many bytes: one that is replaced in
        # between comes cut short, or followed by what was in memory.
        with suppress(ValueError):
            return json.loads(self.read_bytes(name))
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise DamagedFileError(
                f"the file {name!r} in the run folder {self.uri!r} is damaged: {error}",
                "jobs/verify.py with --repair removes it, and the same command makes it again",
            ) from error

    def find_json(self, name: str) -> Any:
        """Return a JSON file's content; None if there is none, or it is damaged."""
        try:
            return self.read_json(name)
        except (FileNotFoundError, DamagedFileError):
            return None

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, atomically."""
        self.write_bytes(name, json_bytes(content))

    def claim(self, recipe: "Recipe", stages: Collection[str] | None = None) -> None:
        """Bind the folder to a recipe, or check that it is bound to the same one, as far as `stages` go.

        Settings that do not change any output (workers, pool batch sizes, ports) may differ. Otherwise raises
        UserError with the keys that differ: mixing two recipes would leave rows that no recipe describes.
        """
        fingerprints = recipe.fingerprints()
        if self.exists(RUN_FILE):
            self.expect(recipe, fingerprints if stages is None else stages)
        else:
            self.bind(recipe)
        self.fingerprints.update(fingerprints)

    def bind(self, recipe: "Recipe", without: Collection[str] = ()) -> None:
        """Write down that the folder is a recipe's, whatever it was before; stages left out are nobody's."""
        stages = {stage: value for stage, value in recipe.fingerprints().items() if stage not in without}
        self.write_json(RUN_FILE, {"stages": stages, "recipe": recipe.settings()})

    def expect(self, recipe: "Recipe", stages: Collection[str]) -> None:
        """Raise UserError unless the folder, which a recipe has claimed, is bound to this one as far as
        `stages` go.
        """
        remedy = "give another run folder, or set the recipe back"
        try:
            known = self.read_json(RUN_FILE)
            bound, before = known["stages"], known["recipe"]
        except (ValueError, KeyError, TypeError) as error:
            reason = error.__cause__ if isinstance(error, DamagedFileError) else repr(error)
            raise UserError(
                f"{self.uri}/{RUN_FILE} is damaged: {reason}", "give another run folder"
            ) from error
        changed = [
            stage
            for stage, value in recipe.fingerprints().items()
            if stage in stages and bound.get(stage) != value
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


def json_bytes(content: Any) -> bytes:
    """Return the JSON file of some content."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


class _Listings:
    """What lies in which folder; known between a beginning and an end, which may come from another thread."""

    def __init__(self) -> None:
        self._folders: dict[str, list[fs.FileInfo]] | None = None

    def begin(self) -> None:
        self._folders = {}

    def end(self) -> None:
        self._folders = None

    def get(self, folder: str) -> list[fs.FileInfo] | None:
        folders = self._folders
        return None if folders is None else folders.get(folder)

    def keep(self, folder: str, files: list[fs.FileInfo]) -> None:
        folders = self._folders
        if folders is not None:
            folders[folder] = files


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
