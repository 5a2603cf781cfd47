"""What is wrong with the rows of a shard: keys, labels, seeds and checksums that are not the planned ones.

Every function takes the rows last and returns a sentence, or nothing if they are right. Where the shard that
they were made from cannot be read they cannot be compared; that shard has a fault of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

import pyarrow as pa

from t2ipal.captions.collect import caption_id
from t2ipal.errors import UserError
from t2ipal.feature_faults import not_finite
from t2ipal.images.codec import sha256
from t2ipal.images.plan import ImageShard
from t2ipal.images.rows import image_seed
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.shards import Shards
from t2ipal.stages.images import image_id
from t2ipal.tuning.source import view_ids
from t2ipal.vocabulary import Vocabulary

Row = dict[str, Any]
Classes = Callable[[int], Sequence[int]]
"""From the number of a caption to the classes that it is to name."""

_ROWS_AT_ONCE = 64  # of images, as Python's own objects
_OTHER_SEED = "the seed of {} is not one that the recipe gives it"


def captions(
    numbers: range, seeds: Callable[[int], set[int]], classes: Classes | None, rows: pa.Table
) -> str:
    """Captions with increasing numbers of a range, each with one of the seeds for its number and, where they
    are known, the classes that it was to name.
    """
    before = numbers.start - 1
    for row in rows.select(["caption_id", "seed", "labels", "requested"]).to_pylist():
        key, number = row["caption_id"], _number(row["caption_id"])
        if number is None or not before < number < numbers.stop:
            return f"the caption {key!r} is not of this shard, or is there twice"
        if row["seed"] not in seeds(number):
            return _OTHER_SEED.format(repr(key))
        if classes is not None and (problem := _classes(row, classes(number))):
            return problem
        before = number
    return ""


class Sentences:
    """Captions from a file, in whatever order: none may be there twice, in any of the shards.

    Their labels are the classes that their text names. Holds their numbers, as whoever chose them from the
    file held the captions.
    """

    def __init__(self, seeds: Callable[[int], set[int]], vocabulary: Vocabulary) -> None:
        self._seeds, self._vocabulary = seeds, vocabulary
        self._seen, self._lock = set[int](), Lock()

    def __call__(self, rows: pa.Table) -> str:
        """Compare the rows of one shard; shards may be compared at the same time."""
        for row in rows.select(["caption_id", "text", "seed", "labels", "requested"]).to_pylist():
            key, number = row["caption_id"], _number(row["caption_id"])
            if number is None or self._is_known(number):
                return f"the caption {key!r} is of no file of captions, or is there twice"
            if row["seed"] not in self._seeds(number):
                return _OTHER_SEED.format(repr(key))
            if problem := _classes(row, self._vocabulary.labels(row["text"])):
                return problem
        return ""

    def _is_known(self, number: int) -> bool:
        with self._lock:
            known = number in self._seen
            self._seen.add(number)
            return known


def images(written: Shards, shard: ImageShard, recipe: ImagesRecipe, seed: int, rows: pa.Table) -> str:
    """The images that a shard of captions calls for, each with the checksum of its bytes."""
    per_caption = recipe.per_caption
    texts = _read(written, shard.captions, ["caption_id", "labels"])
    if texts is None:
        return ""
    stop = min(shard.stop, per_caption * len(texts))
    places = [divmod(number, per_caption) for number in range(shard.start, stop)]
    wanted = [
        {"image_id": image_id(texts[place]["caption_id"], sample), **texts[place]} for place, sample in places
    ]
    problems = (_image(seed, recipe.redraws, row) for row in _one_by_one(rows))
    return _differ(wanted, rows) or next(filter(None, problems), "")


def image_features(painted: Shards, name: str, views: int, rows: pa.Table) -> str:
    """Features of as many views of each image of a shard that was kept."""
    found = _read(painted, name, ["image_id", "labels", "kept"])
    if found is None:
        return ""
    wanted = [row | {"image_id": view} for row in found for view in view_ids(row["image_id"], views)]
    return _differ([row for row in wanted if row.pop("kept")], rows) or _numbers(rows)


def caption_features(written: Shards, name: str, rows: pa.Table) -> str:
    """Features of the captions of a shard."""
    found = _read(written, name, ["caption_id", "labels"])
    return "" if found is None else _differ(found, rows) or _numbers(rows)


def verdicts(features: Shards, name: str, rows: pa.Table) -> str:
    """A verdict on each of the features of images in a shard."""
    found = _read(features, name, ["image_id"])
    return "" if found is None else _differ(found, rows)


def photo_features(names: Sequence[str], rows: pa.Table) -> str:
    """Features of photos with these names."""
    return _differ([{"image_id": name} for name in names], rows) or _numbers(rows)


def predictions(tested: Shards, names: Sequence[str], rows: pa.Table) -> str:
    """Predictions for each of the photos with features in some shards."""
    found = [_read(tested, name, ["image_id"]) for name in names]
    if None in found:
        return ""
    return _differ([{"image": row["image_id"]} for part in found for row in part or ()], rows)


def _differ(wanted: list[Row], rows: pa.Table) -> str:
    """Compare the rows, in order, with those wanted, in the columns that these have."""
    if len(wanted) != rows.num_rows:
        return f"it has {rows.num_rows} rows, and {len(wanted)} are called for"
    found = rows.select(list(wanted[0])).to_pylist() if wanted else []
    for number, (ours, theirs) in enumerate(zip(wanted, found, strict=True)):
        if ours != theirs:
            return f"row {number} is {theirs}, and {ours} is called for"
    return ""


def _numbers(rows: pa.Table) -> str:
    broken = not_finite(rows)
    return f"the features of {broken[0]!r} are NaN or infinite" if broken else ""


def _classes(row: Row, wanted: Sequence[int]) -> str:
    """Say which classes a caption names, or was asked for, other than those wanted."""
    for column in ("labels", "requested"):
        if row[column] != sorted(wanted):
            return f"{column} of {row['caption_id']!r} are {row[column]}, and {sorted(wanted)} are called for"
    return ""


def _image(seed: int, redraws: int, row: Row) -> str:
    if row["seed"] not in {image_seed(seed, row["image_id"], attempt) for attempt in range(redraws + 1)}:
        return _OTHER_SEED.format(repr(row["image_id"]))
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
