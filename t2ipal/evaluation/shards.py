"""The labelled photos of a recipe, to test on and to learn from, in the parts that become shards of their
features.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import Dataset, open_dataset
from t2ipal.recipe import Recipe
from t2ipal.shard_names import number_of, photos_shard
from t2ipal.vocabulary import Vocabulary

SHARD_ROWS = 256

Purpose = Literal["test", "train"]


@dataclass(frozen=True)
class Part:
    """Some images of a set of photos, and a checksum of their names, labels and ignored classes."""

    name: str
    source: str


def open_photos(recipe: Recipe, purpose: Purpose) -> Dataset | None:
    """Open the photos to test on, or the labelled ones to learn from; None for a recipe without a data set.

    Raises UserError when they are not readable, or when no image holds a class of the vocabulary: every
    figure would be undefined.
    """
    evaluate = recipe.evaluate
    if evaluate.dataset is None:
        return None
    vocabulary = Vocabulary.load(recipe.vocabulary)
    if purpose == "test":
        split = evaluate.split
        dataset = open_dataset(evaluate.dataset, split, vocabulary)
    else:
        split = evaluate.train_split
        dataset = open_dataset(evaluate.dataset, split, vocabulary, "evaluate.train_split")
    if not any(dataset.labels(i) for i in range(len(dataset))):
        raise UserError(
            f"no image of the {purpose} set {evaluate.dataset!r}, split {split!r}, holds a class of the "
            "vocabulary",
            "set evaluate.dataset to photos of your classes, or to null to go without them",
        )
    return dataset


def split_photos(recipe: Recipe, purpose: Purpose) -> list[Part]:
    """Return the parts of the photos, in order; none for a recipe without a data set."""
    dataset = open_photos(recipe, purpose)
    if dataset is None:
        return []
    # What a scene of the picture world shows follows from its name, and only drawing it would tell: 15 s for
    # all of them.
    labelled = recipe.evaluate.dataset != "picturebook"
    count = len(dataset)
    names = [photos_shard(purpose, i) for i in range(-(-count // SHARD_ROWS))]
    return [Part(name, _checksum(dataset, part_numbers(name, count), labelled)) for name in names]


def part_numbers(name: str, count: int) -> range:
    """Return the numbers of the images in a part of `count` photos."""
    start = number_of(name) * SHARD_ROWS
    return range(start, min(start + SHARD_ROWS, count))


def _checksum(dataset: Dataset, numbers: range, labelled: bool) -> str:
    rows = [
        [dataset.name(i), *([list(dataset.labels(i)), list(dataset.ignored(i))] if labelled else [])]
        for i in numbers
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
