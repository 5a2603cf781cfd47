"""A user's own folder: a file of labels named after the split, and images anywhere below."""

import csv
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from t2ipal.data_file import read_json_lines, read_lines
from t2ipal.errors import UserError
from t2ipal.evaluation.datasets.base import ImageFiles, Listed, Words, class_of, image_files
from t2ipal.evaluation.datasets.coco import read_instances

SUFFIXES = (".csv", ".jsonl", ".json")


class _Line(Struct):
    image: str
    labels: list[str]


def open_folder(root: Path, split: str, words: Words) -> ImageFiles | None:
    """Open the images of `<split>.csv`, else `<split>.jsonl`, else `<split>.json` (as COCO writes it), or
    return None where there is no such file.
    """
    paths = (root / f"{split}{suffix}" for suffix in SUFFIXES)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    if path.suffix == ".json":
        return read_instances(path, root, words)
    lines = _read_csv(path) if path.suffix == ".csv" else _read_jsonl(path)
    return image_files(path, root, (_listed(path, *line, words) for line in lines))


def _listed(path: Path, number: int, image: str, labels: list[str], words: Words) -> Listed:
    place = f"line {number}"
    return Listed(place, image, [class_of(words, label, path, place) for label in labels])


def _read_csv(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Columns `image` and `labels`, the labels separated by semicolons."""
    reader = csv.DictReader((line for _, line in read_lines(path)), strict=True)
    try:
        if not {"image", "labels"} <= set(reader.fieldnames or ()):
            raise UserError(
                f"{path} has the columns {reader.fieldnames}", "its first line must be: image,labels"
            )
        for row in reader:
            if None in row:  # where the reader puts surplus values
                raise UserError(
                    f"{path}, line {reader.line_num} has more values than the first line has columns",
                    "separate an image's labels by semicolons, and quote a path that holds a comma",
                )
            labels = (row["labels"] or "").split(";")
            yield reader.line_num, row["image"] or "", [label for label in labels if label.strip()]
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.reader.line_num} is not readable as CSV: {error}",
            "correct it; a quotation mark further up may lack its partner",
        ) from error


def _read_jsonl(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """One object a line: {"image": "a.jpg", "labels": ["cat", "dog"]}."""
    remedy = 'write one object a line: {"image": "a.jpg", "labels": ["cat"]}'
    for number, line in read_json_lines(path, _Line, remedy):
        yield number, line.image, line.labels
