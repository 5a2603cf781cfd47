"""Sentences that people wrote about photos: COCO's captions, localized narratives, or lines of text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from t2ipal.data_file import read_json, read_json_lines, read_lines
from t2ipal.errors import UserError

NARRATIVE_WORDS = 77  # of a localized narrative, TaI-DPT's limit (arXiv 2211.12739, its code)

Format = Literal["coco_captions", "localized_narratives", "text"]


class Sentence(NamedTuple):
    """A sentence, its number in the file, and the image it is about, where that is known.

    The number is COCO's id of the caption, else the line.
    """

    number: int
    text: str
    image: str = ""


class _Caption(Struct, gc=False):
    id: Annotated[int, Meta(ge=0)]
    image_id: int
    caption: str


class _Captions(Struct):
    annotations: list[_Caption]


class _Narrative(Struct):
    image_id: str | int
    caption: str


def format_of(path: Path) -> Format:
    """Return which format a file has, by its suffix: .json, .jsonl, or any other for text."""
    formats: dict[str, Format] = {".json": "coco_captions", ".jsonl": "localized_narratives"}
    return formats.get(path.suffix.lower(), "text")


def read_sentences(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a file in its order, with single spaces; empty ones are passed over.

    * .json: captions of COCO (captions_train2017.json).
    * .jsonl: localized narratives (arXiv 1912.03098), an object with `caption` and `image_id` a line; only
      their first 77 words.
    * any other: a sentence a line.

    Raises UserError, naming the line or id, for what cannot be read.
    """
    readers = {"coco_captions": _read_captions, "localized_narratives": _read_narratives, "text": _read_text}
    for number, text, image in readers[format_of(path)](path):
        if text := " ".join(text.split()):
            yield Sentence(number, text, image)


def read_image_ids(path: Path, numbers: bool) -> frozenset[str]:
    """Return the image ids of a file, one a line, as `Sentence.image` has them.

    With `numbers` they must be numbers, as COCO's are: a name would exclude nothing, in silence.
    """
    ids: set[str] = set()
    for number, line in read_lines(path):
        words = [_image_id(word) for word in line.split()]
        if len(words) > 1 or (numbers and not all(word.isdigit() for word in words)):
            example = "391895" if numbers else "0a1b2c3d4e5f6071"
            raise UserError(
                f"{path}, line {number} is {line.strip()!r}", f"write one image id a line: {example} for one"
            )
        ids.update(words)
    return frozenset(ids)


def _image_id(text: str) -> str:
    """Without the zeros that fill up COCO's ids in names of files."""
    return str(int(text)) if text.isascii() and text.isdigit() else text


def _read_captions(path: Path) -> Iterator[tuple[int, str, str]]:
    remedy = "give a file of captions as COCO has them: annotations with id, image_id and caption"
    seen = set()
    for each in read_json(path, _Captions, remedy).annotations:
        if each.id in seen:
            raise UserError(f"{path} has the caption id {each.id} twice", "remove one of the two")
        seen.add(each.id)
        yield each.id, each.caption, str(each.image_id)


def _read_narratives(path: Path) -> Iterator[tuple[int, str, str]]:
    remedy = 'write one object a line: {"image_id": "0a1b", "caption": "A cat lies on a mat."}'
    for number, each in read_json_lines(path, _Narrative, remedy):
        yield number, " ".join(each.caption.split()[:NARRATIVE_WORDS]), _image_id(str(each.image_id))


def _read_text(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in read_lines(path):
        if number == 1 and line.lstrip()[:1] in ("{", "["):
            raise UserError(
                f"{path} looks like JSON and would be read as text",
                "name it .json if it holds COCO's captions, .jsonl if it holds an object a line",
            )
        yield number, line, ""
