"""What the shards of each table are called: their names are made here, and told here from other files'.

captions-00000         of captions, their drafts and their features
images-00000-000       of images, their features and the verdicts on these: the n-th of a shard of captions
test-00000, train-...  of features of photos
zero_shot              of predictions: the method's name
"""

import re
from collections.abc import Callable, Collection

from t2ipal.errors import UserError
from t2ipal.method_names import parse_name
from t2ipal.run_files import CAPTION_DRAFTS, PREDICTIONS

_NUMBER, _PART = r"(\d{5}|[1-9]\d{5,})", r"(\d{3}|[1-9]\d{3,})"  # as 05d and 03d write them


def captions_shard(number: int) -> str:
    """Return the name of a shard of captions by its number, from 0."""
    return f"captions-{number:05d}"


def images_shard(captions: str, part: int) -> str:
    """Return the name of a shard of the images of a shard of captions."""
    return f"images-{captions.removeprefix('captions-')}-{part:03d}"


def photos_shard(purpose: str, number: int) -> str:
    """Return the name of a shard of photos' features by its number, from 0."""
    return f"{purpose}-{number:05d}"


def captions_of(images: str) -> str:
    """Return the name of the shard of captions that a shard of images shows."""
    return f"captions-{images.removeprefix('images-').rpartition('-')[0]}"


def number_of(name: str) -> int:
    """Return the number of a shard of captions or of photos' features."""
    return int(name.rpartition("-")[2])


def written_shards(table: str, rows: Collection[str], manifests: Collection[str]) -> set[str]:
    """Return the names of a table's shards, finished or not, among the files that lie where its `rows` and
    `manifests` do (their names without endings). All else there is somebody else's.

    Where both are there a shard may have any name.
    """
    is_named = _NAMED.get(table, lambda name: False)
    return {*filter(is_named, {*rows, *manifests}), *(set(rows) & set(manifests))}


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda name: compiled.fullmatch(name) is not None


def _is_method(name: str) -> bool:
    try:
        parse_name(name)
    except UserError:
        return False
    return True


_of_captions, _of_images = _matches(rf"captions-{_NUMBER}"), _matches(rf"images-{_NUMBER}-{_PART}")
_NAMED: dict[str, Callable[[str], bool]] = {
    "captions": _of_captions,
    CAPTION_DRAFTS: _of_captions,
    "caption_features": _of_captions,
    "images": _of_images,
    "features": _of_images,
    "agreement": _of_images,
    "test_features": _matches(rf"test-{_NUMBER}"),
    "train_features": _matches(rf"train-{_NUMBER}"),
    PREDICTIONS: _is_method,
}
