"""The single files that stages leave beside the tables, and a manifest that says whether they are whole.

    <run>/<folder>/_manifest.json   written after the files: sizes, checksums, what they were made from

As with shards, files that the manifest does not vouch for are not finished, and are made again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from t2ipal.store import Store, json_bytes

MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Written:
    """What was written into one file; its size is in bytes."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return what is to be known of a file with this content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Contents:
    """What a manifest says: the files by name, and what identifies the settings and data behind them."""

    files: dict[str, Written]
    made_from: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The files of one stage in its folder of a run. Others may lie there too."""

    store: Store
    folder: str

    def write(self, files: Iterable[tuple[str, bytes]], made_from: Mapping[str, Any]) -> int:
        """Write files, one at a time, and the manifest last; return how many there were.

        A job that is killed in between leaves no manifest: the former one goes first.
        """
        if self.store.exists(self.manifest):
            self.store.delete(self.manifest)
        written = {}
        for name, data in files:
            self.store.write_bytes(f"{self.folder}/{name}", data)
            written[name] = asdict(Written.of(data))
        self.store.write_json(self.manifest, {"files": written, "made_from": dict(made_from)})
        return len(written)

    def write_json(self, name: str, content: Any, made_from: Mapping[str, Any]) -> None:
        """Write a single JSON file, and the manifest."""
        self.write([(name, json_bytes(content))], made_from)

    @property
    def manifest(self) -> str:
        """The name of the manifest within the store."""
        return f"{self.folder}/{MANIFEST}"

    def contents(self) -> Contents | None:
        """Return what the manifest says; None when there is none, or it is not readable as one."""
        try:
            content = self.store.find_json(self.manifest)
            files = {name: Written(**each) for name, each in content["files"].items()}
            return Contents(files, dict(content["made_from"]))
        except (TypeError, KeyError, AttributeError, ValueError):
            return None

    def are_there(self, made_from: Mapping[str, Any]) -> bool:
        """Say whether the files were made from this, and have their sizes; one listing tells."""
        return self._listed(made_from) is not None

    def are_whole(self, made_from: Mapping[str, Any]) -> bool:
        """Say whether the files were made from this and are, byte for byte, what was written; reads them."""
        listed = self._listed(made_from)
        if listed is None:
            return False
        try:
            return all(
                Written.of(self.store.read_bytes(f"{self.folder}/{name}")) == each
                for name, each in listed.items()
            )
        except FileNotFoundError:
            return False

    def _listed(self, made_from: Mapping[str, Any]) -> dict[str, Written] | None:
        """Return the files of the manifest if they were made from this and have their sizes, else None."""
        contents = self.contents()
        if contents is None or contents.made_from != dict(made_from):
            return None
        sizes = {file.base_name: file.size for file in self.store.files(self.folder) if file.is_file}
        if any(sizes.get(name) != each.size for name, each in contents.files.items()):
            return None
        return contents.files
