"""What every data set offers, and the one for image files, which all layouts but the drawn one share."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from t2ipal.errors import UserError
from t2ipal.vocabulary import Vocabulary

Words = Mapping[str, int]  # every class name and synonym, lower-case -> index of the class


class Dataset(Protocol):
    """Labelled images by number; an image is decoded when it is asked for."""

    def __len__(self) -> int:
        """Number of images."""

    def name(self, index: int) -> str:
        """What the image is called in predictions."""

    def image(self, index: int) -> Image.Image:
        """The picture, RGB."""

    def labels(self, index: int) -> tuple[int, ...]:
        """Classes it holds, as indices into the vocabulary, in increasing order."""

    def ignored(self, index: int) -> tuple[int, ...]:
        """Classes that are neither surely there nor surely not, and not among `labels`; mostly none."""


class Listed(NamedTuple):
    """One image of a list. `place` is its line or id, for messages; `path` is relative to the images."""

    place: str
    path: str
    labels: Iterable[int]
    ignored: Iterable[int] = ()


class Row(NamedTuple):
    """What is kept of a listed image: little, as there may be 200,000."""

    path: str
    labels: tuple[int, ...]
    ignored: tuple[int, ...]


@dataclass(frozen=True)
class ImageFiles:
    """Image files below a folder."""

    root: Path
    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return self.rows[index].path

    def image(self, index: int) -> Image.Image:
        """The picture; UserError when the file is damaged or no image."""
        path = self.root / self.name(index)
        try:
            with Image.open(path) as image:
                return image.convert("RGB")
        except Exception as error:  # on broken bytes decoders raise nearly anything
            raise UserError(
                f"cannot read the image {path}: {error}", "restore it or remove it from the list of images"
            ) from error

    def labels(self, index: int) -> tuple[int, ...]:
        return self.rows[index].labels

    def ignored(self, index: int) -> tuple[int, ...]:
        return self.rows[index].ignored


def image_files(source: Path, root: Path, images: Iterable[Listed]) -> ImageFiles:
    """Return the images that the file `source` lists, with paths relative to `root`.

    Raises UserError when there are none, when one is listed twice, or when a file is not there.
    """
    rows: dict[str, Row] = {}
    for each in images:
        key = os.path.normpath(each.path)
        if key == ".":
            raise UserError(f"{source}, {each.place} has no image path", "write the path, or remove it")
        if key in rows:
            raise UserError(
                f"{source}, {each.place}: the image {each.path!r} is listed for the second time",
                "list every image once, with all its labels",
            )
        rows[key] = Row(each.path, _increasing(each.labels), _increasing(each.ignored))
    if not rows:
        raise UserError(f"{source} lists no images", "name at least one image and its labels in it")
    _check_presence(source, root, rows)
    return ImageFiles(root, tuple(rows.values()))


def _increasing(classes: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(classes)))


def _check_presence(source: Path, root: Path, paths: Iterable[str]) -> None:
    """Raise UserError for files that are not there, before hours of work on other things.

    Folders are listed: to ask for every file takes minutes on a network's disk.
    """
    listed: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = (root / path).parent, os.path.basename(path)
        if folder not in listed:
            listed[folder] = set(os.listdir(folder)) if folder.is_dir() else set()
        if name not in listed[folder]:
            missing.append(path)
    if missing:
        raise UserError(
            f"{source} lists {len(missing)} images that are not in {root}, {missing[0]!r} for one",
            "put the files there, or remove them from the list of images",
        )


def class_words(vocabulary: Vocabulary) -> dict[str, int]:
    """Return every class name and synonym, lower-case, with its index."""
    return {
        word.lower(): i
        for i, (name, synonyms) in enumerate(zip(vocabulary.names, vocabulary.synonyms, strict=True))
        for word in (name, *synonyms)
    }


def class_of(words: Words, name: str, source: Path, place: str) -> int:
    """Return the class that `name` stands for; `place` is where the file `source` says so."""
    try:
        return words[name.strip().lower()]
    except KeyError:
        raise UserError(
            f"{source}, {place}: the label {name!r} is no class or synonym of the vocabulary",
            "add it to the vocabulary, as a class or as a synonym of one, or correct the file",
        ) from None


class UnknownSplit(Exception):
    """A data set has no such split; `known` are those that it has."""

    def __init__(self, problem: str, known: Iterable[str]) -> None:
        super().__init__(problem)
        self.known = sorted(known)


def known_split(folder: Path, split: str, splits: Iterable[str]) -> None:
    """Raise UnknownSplit unless a data set's folder has the split."""
    known = set(splits)
    if split not in known:
        raise UnknownSplit(f"the data set at {folder} has no split {split!r}", known)
