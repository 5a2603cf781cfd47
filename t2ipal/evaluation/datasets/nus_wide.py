"""NUS-WIDE (Chua et al., CIVR 2009): 81 concepts, in the folders of its own download.

ImageList/TestImagelist.txt                         a path a line, with backslashes
Groundtruth/TrainTestLabels/Labels_<concept>_Test.txt  a 0 or 1 for each of these lines
ConceptsList/Concepts81.txt                         a concept a line
Flickr or images                                    the pictures
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

FILTERED = "_filtered"  # behind a split: without the images that hold none of the concepts
SPLITS = {"train": "Train", "test": "Test"}
CONCEPTS, LABELS = "ConceptsList/Concepts81.txt", "Groundtruth/TrainTestLabels"
PICTURES = ("Flickr", "images")


def open_nus_wide(root: Path, split: str, words: Words) -> ImageFiles | None:
    """Open "test" (107,859 images), "test_filtered" (only those with a label), "train" or "train_filtered".

    Returns None when the folder is not NUS-WIDE's.
    """
    if not (root / "ImageList").is_dir():
        return None
    known_split(root, split, [name + end for name in SPLITS for end in ("", FILTERED)])
    part = SPLITS[split.removesuffix(FILTERED)]
    path = root / "ImageList" / f"{part}Imagelist.txt"
    names = [(number, line.strip().replace("\\", "/")) for number, line in read_lines(path) if line.strip()]
    labels = _labels(root, part, path, len(names), words)
    pictures = next((root / name for name in PICTURES if (root / name).is_dir()), root / PICTURES[0])
    return image_files(path, pictures, _listed(names, labels, filtered=split.endswith(FILTERED)))


def _listed(names: list[tuple[int, str]], labels: NDArray[np.bool_], filtered: bool) -> Iterator[Listed]:
    for (number, name), row in zip(names, labels, strict=True):
        classes = np.flatnonzero(row).tolist()
        if classes or not filtered:
            yield Listed(f"line {number}", name, classes)


def _labels(root: Path, part: str, images: Path, count: int, words: Words) -> NDArray[np.bool_]:
    """Return which of `count` images hold which classes, [count, C]."""
    labels = np.zeros((count, max(words.values()) + 1), dtype=np.bool_)
    path = root / CONCEPTS
    for number, line in read_lines(path):
        if concept := line.strip():
            label = class_of(words, concept, path, f"line {number}")
            file = root / LABELS / f"Labels_{concept}_{part}.txt"
            column = _column(file)
            if len(column) != count:
                raise UserError(
                    f"{file} has {len(column)} labels, and {images} lists {count} images",
                    "take both from the same download: each line of one belongs to a line of the other",
                )
            labels[:, label] |= column
    return labels


def _column(path: Path) -> NDArray[np.bool_]:
    """Read a file of a 0 or 1 a line."""
    try:
        values = np.array(path.read_bytes().split(), dtype=np.bytes_)
    except OSError as error:
        raise UserError(
            f"cannot read the labels {str(path)!r}: {error.strerror}",
            "restore it from the data set's download",
        ) from error
    wrong = np.flatnonzero((values != b"0") & (values != b"1"))
    if len(wrong):
        raise UserError(
            f"{path}: value {wrong[0] + 1} is {values[wrong[0]].decode(errors='replace')!r}",
            "write a 0 or 1 a line",
        )
    result: NDArray[np.bool_] = values == b"1"
    return result
