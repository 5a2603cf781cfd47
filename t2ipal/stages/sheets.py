"""Contact sheets of the painted images, one for each class, for a person to look at: `sheets/<class>.png`.

They lie beside the table `images`, which any tool can read as one. A few shards spread over the run are read
one after the other, and of their images only thumbnails are held.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from t2ipal.images.plan import ImageShard
from t2ipal.results import Results
from t2ipal.run_files import SHEETS
from t2ipal.shards import Manifest
from t2ipal.store import Store
from t2ipal.tuning.source import short_digest

if TYPE_CHECKING:
    from PIL import Image

PER_CLASS = 36
MOST_SHARDS = 8
SIDE = 160  # pixels of a thumbnail

Shown = tuple[bytes, str]  # an encoded thumbnail and its caption


def write_sheets(
    store: Store, classes: Sequence[str], planned: Sequence[ImageShard], done: Mapping[str, Manifest]
) -> int:
    """Write the sheets of finished images unless they are there; return how many were written.

    Former sheets of classes that have lost their images are removed; other files in the folder are not.
    """
    results, source = Results(store, SHEETS), made_from(classes, planned, done)
    if results.are_there(source):
        return 0
    shown = _collect(store, len(classes), _chosen(planned))
    rows_of = {_file(classes[label]): rows for label, rows in shown.items() if rows}
    _remove_former(results, classes, keep=rows_of)
    return results.write(((name, _sheet(rows)) for name, rows in rows_of.items()), source)


def _remove_former(results: Results, classes: Sequence[str], keep: Collection[str]) -> None:
    """Remove the manifest, and of the sheets that it lists or that have a class's name those not kept."""
    former, store = results.contents(), results.store
    if store.exists(results.manifest):
        store.delete(results.manifest)
    # A job that was killed has left sheets that no manifest lists.
    ours = {*map(_file, classes), *(former.files if former else ())}
    there = {file.base_name for file in store.files(results.folder) if file.is_file}
    for name in sorted(ours & there - set(keep)):
        store.delete(f"{results.folder}/{name}")


def made_from(
    classes: Sequence[str], planned: Sequence[ImageShard], done: Mapping[str, Manifest]
) -> dict[str, str]:
    """Return what identifies the images on the sheets; all planned ones are done."""
    return {"source": short_digest(*(done[shard.name].sha256 for shard in _chosen(planned)), *classes)}


def sheet_name(name: str) -> str:
    """Return the file of a class's sheet within the run."""
    return f"{SHEETS}/{_file(name)}"


def _file(name: str) -> str:
    return f"{name.replace('/', '_')}.png"


def _chosen(planned: Sequence[ImageShard]) -> Sequence[ImageShard]:
    """A few shards, spread over all."""
    return planned[:: -(-len(planned) // MOST_SHARDS) or 1]


def _collect(store: Store, classes: int, chosen: Sequence[ImageShard]) -> dict[int, list[Shown]]:
    """The first images of each class in some shards."""
    shown: dict[int, list[Shown]] = {label: [] for label in range(classes)}
    for shard in chosen:
        for row in _rows(store, shard):
            wanting = [shown[label] for label in row["labels"] if len(shown[label]) < PER_CLASS]
            if wanting:
                thumbnail = _thumbnail(row["image"])
                for rows in wanting:
                    rows.append((thumbnail, row["text"]))
        if all(len(rows) == PER_CLASS for rows in shown.values()):
            break
    return shown


def _rows(store: Store, shard: ImageShard) -> Iterator[dict[str, Any]]:
    """The kept images of a shard, each with the text of its caption."""
    captions = store.shards("captions").read(shard.captions, ["caption_id", "text"]).to_pylist()
    text = {row["caption_id"]: row["text"] for row in captions}
    table = store.shards("images").read(shard.name, ["caption_id", "image", "labels", "kept"])
    for batch in table.to_batches(max_chunksize=16):  # Python's copy of a whole shard would be as large again
        for row in batch.to_pylist():
            if row["kept"]:
                yield row | {"text": text[row["caption_id"]]}


def _thumbnail(data: bytes) -> bytes:
    from t2ipal.images.codec import encode

    image = _open(data)
    if max(image.size) <= SIDE:
        return data
    image.thumbnail((SIDE, SIDE))
    return encode(image, "jpeg", 90)


def _sheet(rows: Sequence[Shown]) -> bytes:
    from t2ipal.images.codec import encode
    from t2ipal.images.sheet import contact_sheet

    images, captions = [_open(data) for data, _ in rows], [text for _, text in rows]
    return encode(contact_sheet(images, captions, side=SIDE), "png", 100)


def _open(data: bytes) -> "Image.Image":
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")
