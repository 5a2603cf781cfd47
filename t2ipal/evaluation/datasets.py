"""Test sets: the picture world's scenes, or a folder of images with a file of labels."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from t2ipal.errors import UserError
from t2ipal.vocabulary import Vocabulary

PICTUREBOOK_SCENES = 1000


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


def open_dataset(dataset: str, split: str, vocabulary: Vocabulary) -> Dataset:
    """Open "picturebook" (photo scenes of the split) or a folder with `<split>.csv` or `<split>.jsonl`."""
    if dataset == "picturebook":
        return _picturebook(split, vocabulary)
    for suffix, read in ((".csv", _read_csv), (".jsonl", _read_jsonl)):
        path = Path(dataset).expanduser() / f"{split}{suffix}"
        if path.is_file():
            return _folder(path, read(path), vocabulary)
    raise UserError(
        f"there is no test set at {dataset!r}: neither {split}.csv nor {split}.jsonl",
        'set evaluate.dataset to "picturebook" or to a folder with such a file, each line an image path and '
        "its labels",
    )


@dataclass(frozen=True)
class _Scenes:
    split: str
    classes: dict[
        int, int
    ]  # the world's class -> the vocabulary's; the world draws more than a vocabulary may ask for

    def __len__(self) -> int:
        return PICTUREBOOK_SCENES

    def name(self, index: int) -> str:
        return f"photo-{self.split}-{index:05d}"

    def image(self, index: int) -> Image.Image:
        from t2ipal.picturebook.scenes import scene

        return scene("photo", self.split, index).image  # type: ignore[arg-type]  # scene rejects an unknown split

    def labels(self, index: int) -> tuple[int, ...]:
        from t2ipal.picturebook.scenes import scene

        found = scene("photo", self.split, index).labels  # type: ignore[arg-type]
        return tuple(sorted(self.classes[label] for label in found if label in self.classes))


def _picturebook(split: str, vocabulary: Vocabulary) -> _Scenes:
    from t2ipal import picturebook

    if split not in ("dev", "test"):
        raise UserError(
            f"the picture world has no test split {split!r}", 'set evaluate.split to "test" or "dev"'
        )
    words = _words(vocabulary)
    names = picturebook.vocabulary()
    return _Scenes(split, {i: words[name] for i, name in enumerate(names) if name in words})


@dataclass(frozen=True)
class _Folder:
    root: Path
    rows: tuple[tuple[str, tuple[int, ...]], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return self.rows[index][0]

    def image(self, index: int) -> Image.Image:
        path = self.root / self.name(index)
        try:
            return Image.open(path).convert("RGB")
        except OSError as error:
            raise UserError(
                f"cannot read the test image {path}: {error}", "restore it or remove its line"
            ) from error

    def labels(self, index: int) -> tuple[int, ...]:
        return self.rows[index][1]


def _folder(path: Path, rows: Iterator[tuple[str, Sequence[str]]], vocabulary: Vocabulary) -> _Folder:
    words = _words(vocabulary)
    known = []
    for image, labels in rows:
        if unknown := [label for label in labels if label.strip().lower() not in words]:
            raise UserError(
                f"{path}: the label {unknown[0]!r} of {image!r} is no class or synonym of the vocabulary",
                "add it to the vocabulary or remove it from the file",
            )
        known.append((image, tuple(sorted({words[label.strip().lower()] for label in labels}))))
    if not known:
        raise UserError(f"{path} lists no images", "write one line per image: its path and its labels")
    return _Folder(path.parent, tuple(known))


def _read_csv(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Columns `image` and `labels`, the labels separated by semicolons."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"image", "labels"} <= set(reader.fieldnames or ()):
            raise UserError(
                f"{path} has the columns {reader.fieldnames}", "its first line must be: image,labels"
            )
        for row in reader:
            yield row["image"], [label for label in (row["labels"] or "").split(";") if label.strip()]


def _read_jsonl(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """One object a line: {"image": "a.jpg", "labels": ["cat", "dog"]}."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                yield str(row["image"]), [str(label) for label in row["labels"]]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}, line {number} is not readable: {error!r}",
                    'write one object a line: {"image": "a.jpg", "labels": ["cat"]}',
                ) from error


def _words(vocabulary: Vocabulary) -> dict[str, int]:
    """Every class name and synonym, lower-case, with its index."""
    return {
        word.lower(): i
        for i, (name, synonyms) in enumerate(zip(vocabulary.names, vocabulary.synonyms, strict=True))
        for word in (name, *synonyms)
    }
