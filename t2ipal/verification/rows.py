"""What is wrong with the rows of a shard: keys, labels, seeds and checksums that are not the planned ones.

Every function takes the rows last and returns a sentence, or nothing if they are right. Where the shard that
they were made from cannot be read they cannot be compared; that shard has a fault of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from t2ipal.captions.collect import caption_id
from t2ipal.errors import UserError
from t2ipal.images.codec import sha256
from t2ipal.images.plan import ImageShard
from t2ipal.seeds import derive_seed
from t2ipal.shards import Shards
from t2ipal.stages.images import image_id

Row = dict[str, Any]

_ROWS_AT_ONCE = 64  # of images, as Python's own objects


def captions(numbers: range, seeds: Callable[[int], set[int]], rows: pa.Table) -> str:
    """Captions with increasing numbers of a range, each with one of the seeds for its number."""
    before = numbers.start - 1
    for row in rows.select(["caption_id", "seed"]).to_pylist():
        key, number = row["caption_id"], _number(row["caption_id"])
        if number is None or not before < number < numbers.stop:
            return f"the caption {key!r} is not of this shard, or is there twice"
        if row["seed"] not in seeds(number):
            return f"the seed of {key!r} is not one that the recipe gives it"
        before = number
    return ""


def sentences(shards: Shards, previous: str | None, seeds: Callable[[int], set[int]], rows: pa.Table) -> str:
    """Captions from a file: their numbers increase within a shard and from one to the next."""
    earlier = _read(shards, previous, ["caption_id"]) if previous else []
    start = (_number(earlier[-1]["caption_id"]) or 0) + 1 if earlier else 0
    return captions(range(start, 2**63), seeds, rows)


def images(written: Shards, shard: ImageShard, per_caption: int, seed: int, rows: pa.Table) -> str:
    """The images that a shard of captions calls for, each with the checksum of its bytes."""
    texts = _read(written, shard.captions, ["caption_id", "labels"])
    if texts is None:
        return ""
    stop = min(shard.stop, per_caption * len(texts))
    places = [divmod(number, per_caption) for number in range(shard.start, stop)]
    wanted = [
        {"image_id": image_id(texts[place]["caption_id"], sample), **texts[place]} for place, sample in places
    ]
    return _differ(wanted, rows) or next(filter(None, (_image(seed, row) for row in _one_by_one(rows))), "")


def image_features(painted: Shards, name: str, rows: pa.Table) -> str:
    """Features of the images of a shard that were kept."""
    found = _read(painted, name, ["image_id", "labels", "kept"])
    if found is None:
        return ""
    return _differ([row for row in found if row.pop("kept")], rows)


def caption_features(written: Shards, name: str, rows: pa.Table) -> str:
    """Features of the captions of a shard."""
    found = _read(written, name, ["caption_id", "labels"])
    return "" if found is None else _differ(found, rows)


def photo_features(names: Sequence[str], rows: pa.Table) -> str:
    """Features of photos with these names."""
    return _differ([{"image_id": name} for name in names], rows)


def _differ(wanted: list[Row], rows: pa.Table) -> str:
    """Compare the rows, in order, with those wanted, in the columns that these have."""
    if len(wanted) != rows.num_rows:
        return f"it has {rows.num_rows} rows, and {len(wanted)} are called for"
    found = rows.select(list(wanted[0])).to_pylist() if wanted else []
    for number, (ours, theirs) in enumerate(zip(wanted, found, strict=True)):
        if ours != theirs:
            return f"row {number} is {theirs}, and {ours} is called for"
    return ""


def _image(seed: int, row: Row) -> str:
    if row["seed"] != derive_seed(seed, row["image_id"]):
        return f"the seed of {row['image_id']!r} is not the one that the recipe gives it"
    if row["sha256"] != sha256(row["image"]):
        return f"the bytes of {row['image_id']!r} are not those of its checksum"
    return ""


def _one_by_one(rows: pa.Table) -> Iterator[Row]:
    for batch in rows.select(["image_id", "seed", "sha256", "image"]).to_batches(_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _read(shards: Shards, name: str, columns: list[str]) -> list[Row] | None:
    try:
        found: list[Row] = shards.read(name, columns).to_pylist()
    except (FileNotFoundError, UserError):
        return None
    return found


def _number(key: str) -> int | None:
    """Return the number in a caption's key; None if it is none."""
    digits = key.removeprefix("c")
    number = int(digits) if digits.isdecimal() else -1
    return number if key == caption_id(number) else None
