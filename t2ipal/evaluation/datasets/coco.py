"""COCO (arXiv 1405.0312): annotations/instances_<split>.json and the images of the split in <split>."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from t2ipal.data_file import read_json
from t2ipal.errors import UserError
from t2ipal.evaluation.datasets.base import (
    ImageFiles,
    Listed,
    Words,
    class_of,
    image_files,
    known_split,
)

PREFIX = "instances_"
REMEDY = "download it again, or write it as COCO does: images, annotations and categories"

Id = int | str  # COCO has numbers; other tools write text too


# Of the file's hundreds of megabytes, mostly outlines, only these fields are made into objects.
class _Image(Struct, gc=False):
    id: Id
    file_name: str


class _Annotation(Struct, gc=False):
    image_id: Id
    category_id: Id
    id: Id | None = None


class _Category(Struct):
    id: Id
    name: str


_Item = TypeVar("_Item", _Image, _Category)


class _Instances(Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def open_coco(root: Path, split: str, words: Words) -> ImageFiles | None:
    """Open a split, "val2014" for one: all its images, those without an annotation too. None when the folder
    is not COCO's.
    """
    splits = [path.stem.removeprefix(PREFIX) for path in root.glob(f"annotations/{PREFIX}*.json")]
    if not splits:
        return None
    known_split(root, split, splits)
    return read_instances(root / "annotations" / f"{PREFIX}{split}.json", root / split, words)


def read_instances(path: Path, root: Path, words: Words) -> ImageFiles:
    """Open the images, below `root`, of a file in COCO's format.

    An image holds a class when any annotation says so, one of a crowd too (TaI-DPT's evaluation, its code).
    Categories are matched by name; those that no annotation uses may be unknown to the vocabulary.
    """
    content = read_json(path, _Instances, REMEDY)
    labels = _labels(path, content, words)
    images = _distinct(path, "image", content.images)
    listed = (Listed(f"image id {each.id}", each.file_name, labels[each.id]) for each in images)
    return image_files(path, root, listed)


def _labels(path: Path, content: _Instances, words: Words) -> dict[Id, set[int]]:
    """Return the classes of every image id."""
    names = {each.id: each.name for each in _distinct(path, "category", content.categories)}
    labels: dict[Id, set[int]] = {each.id: set() for each in content.images}
    classes: dict[Id, int] = {}
    for number, each in enumerate(content.annotations):
        place = f"annotation {number if each.id is None else f'id {each.id}'}"
        if each.category_id not in names:
            raise _refers_to_nothing(path, place, f"category id {each.category_id}")
        if each.image_id not in labels:
            raise _refers_to_nothing(path, place, f"image id {each.image_id}")
        if each.category_id not in classes:
            classes[each.category_id] = class_of(words, names[each.category_id], path, place)
        labels[each.image_id].add(classes[each.category_id])
    return labels


def _distinct(path: Path, what: str, items: Iterable[_Item]) -> Iterator[_Item]:
    seen = set()
    for each in items:
        if each.id in seen:
            raise UserError(f"{path} has the {what} id {each.id} twice", "remove one of the two")
        seen.add(each.id)
        yield each


def _refers_to_nothing(path: Path, place: str, what: str) -> UserError:
    return UserError(
        f"{path}, {place}: there is no {what}", "remove the annotation, or add what it refers to"
    )
