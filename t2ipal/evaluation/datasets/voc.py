"""The devkit of PASCAL VOC 2007: JPEGImages, Annotations/*.xml, ImageSets/Main/<split>.txt."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from t2ipal.data_file import read_lines
from t2ipal.errors import UserError
from t2ipal.evaluation.datasets.base import (
    ImageFiles,
    Listed,
    Words,
    class_of,
    image_files,
    known_split,
)

IMAGES, ANNOTATIONS, SPLITS = "JPEGImages", "Annotations", "ImageSets/Main"


def open_voc(root: Path, split: str, words: Words) -> ImageFiles | None:
    """Open a split, "test", "trainval", "train" or "val"; None when the folder is not a devkit's VOC2007.

    A class of which the image shows only "difficult" objects is none of its labels (TaI-DPT's evaluation, its
    code), but ignored; the official evaluation leaves such images out of that class.
    """
    if not ((root / IMAGES).is_dir() and (root / ANNOTATIONS).is_dir()):
        return None
    # Files of single classes ("cat_test.txt") lie beside those of the splits.
    known_split(root, split, (p.stem for p in (root / SPLITS).glob("*.txt") if "_" not in p.stem))
    path = root / SPLITS / f"{split}.txt"
    return image_files(path, root / IMAGES, _listed(path, root / ANNOTATIONS, words))


def _listed(path: Path, annotations: Path, words: Words) -> Iterator[Listed]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        name, *more = line.split()
        if more:
            raise UserError(
                f"{path}, line {number} is {line.strip()!r}", "write one image id a line: 000001 for one"
            )
        labels, difficult = _objects(annotations / f"{name}.xml", words)
        yield Listed(f"line {number}", f"{name}.jpg", labels, difficult - labels)


def _objects(path: Path, words: Words) -> tuple[set[int], set[int]]:
    """Return the classes of an image's objects, and those of its difficult ones."""
    labels: set[int] = set()
    difficult: set[int] = set()
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:  # of an encoding, too
        raise UserError(
            f"cannot read the annotation {path}: {error}", "restore it, or remove its image from the split"
        ) from error
    # Only objects: their parts (a person's head) have names too.
    for number, each in enumerate(root.findall("object"), 1):
        label = class_of(words, each.findtext("name", ""), path, f"object {number}")
        is_difficult = each.findtext("difficult", "0").strip() == "1"
        (difficult if is_difficult else labels).add(label)
    return labels, difficult
