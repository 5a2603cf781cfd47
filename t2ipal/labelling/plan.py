"""Which images are labelled how, and in which shards: written down before the first, and kept.

    <out>/labelling.json     the settings, and what the recognizer is
    <out>/files.parquet      every image's name, and the number of its shard
    <out>/labels/            the rows (t2ipal.tables.LABELLED), shard by shard

Images that come later get shards of their own behind the others, so that no finished one changes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pydantic import Field

from t2ipal.errors import UserError
from t2ipal.filesystems import connect
from t2ipal.section import Fraction, Positive, Section, Several
from t2ipal.store import Store

SETTINGS_FILE, FILES_FILE = "labelling.json", "files.parquet"
TABLE = "labels"
_FILES = pa.schema(
    [pa.field("image", pa.string(), nullable=False), pa.field("shard", pa.int64(), nullable=False)]
)


class Labelling(Section):
    """What the labels of a folder are: with other settings they would be others."""

    images: str  # local path or s3://, gs:// URI
    version: str  # of the recognizer's bundle
    threshold: Fraction | None = None  # None: each class's own
    top_k: Positive | None = None
    names: Several[str] = ()  # classes that it was never tuned on
    max_pixels: Positive = 50_000_000  # of an image
    at_once: Positive | None = None  # images computed together: see t2ipal.recognizer
    classes: Several[str] = Field(default=(), min_length=1)  # of the recognizer: the order of scores

    def claim(self, out: Store) -> None:
        """Bind a folder to these settings; UserError where it holds labels of others."""
        found = out.find_json(SETTINGS_FILE)
        own = self.model_dump(mode="json")
        if found is None:
            out.write_json(SETTINGS_FILE, own)
        elif found != own:
            keys = [key for key in own if not isinstance(found, dict) or found.get(key) != own[key]]
            raise UserError(
                f"{out.uri!r} holds labels made otherwise; what differs: {', '.join(keys)}",
                "give another folder, or the former settings",
            )


@dataclass(frozen=True)
class Files:
    """The names of all images, in the order of their shards."""

    names: list[str]
    shards: list[int]

    @classmethod
    def planned(cls, images: str, out: Store, rows: int) -> Self:
        """Return the plan of a folder, with what has come since; `rows` is how many of these a shard has."""
        known = cls._read(out)
        given = listed(images)
        new = sorted(set(given) - set(known.names))
        if not new and not known.names:
            raise UserError(f"there are no files in {images!r}", "give a folder or bucket of images")
        if not new:
            return known
        first = known.shards[-1] + 1 if known.shards else 0
        shards = [first + place // rows for place in range(len(new))]
        plan = cls([*known.names, *new], [*known.shards, *shards])
        plan._write(out)
        return plan

    def by_shard(self) -> dict[str, list[str]]:
        """Return the images of each shard by its name."""
        found: dict[str, list[str]] = {}
        for name, number in zip(self.names, self.shards, strict=True):
            found.setdefault(shard_name(number), []).append(name)
        return found

    @classmethod
    def _read(cls, out: Store) -> Self:
        if not out.exists(FILES_FILE):
            return cls([], [])
        table = pq.read_table(pa.BufferReader(out.read_bytes(FILES_FILE)))
        return cls(table["image"].to_pylist(), table["shard"].to_pylist())

    def _write(self, out: Store) -> None:
        buffer = io.BytesIO()
        pq.write_table(pa.table([self.names, self.shards], schema=_FILES), buffer, compression="zstd")
        out.write_bytes(FILES_FILE, buffer.getvalue())


def shard_name(number: int) -> str:
    """Return the name of a shard by its number, from 0."""
    return f"labels-{number:05d}"


def listed(images: str) -> Sequence[str]:
    """Return the names of all files in a folder or bucket, below it too, relative to it.

    Names that begin with a dot or an underscore are passed over, as in tables. UserError when there is no
    such folder.
    """
    try:
        filesystem, root, _ = connect(images)
        found: Any = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot list {images!r}: {error}", "give a folder or bucket of images") from error
    names = [file.path[len(root.rstrip("/")) + 1 :] for file in found if file.is_file]
    return [name for name in names if not any(part.startswith((".", "_")) for part in name.split("/"))]
