"""The test set of a recipe, in the parts that become shards of its features."""

import hashlib
import json
from dataclasses import dataclass

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import Dataset, open_dataset
from t2ipal.recipe import Recipe
from t2ipal.vocabulary import Vocabulary

SHARD_ROWS = 256


@dataclass(frozen=True)
class Part:
    """Some images of a test set, and a checksum of their names, labels and ignored classes."""

    name: str
    source: str


def open_test_set(recipe: Recipe) -> Dataset | None:
    """Open the test set; None for a recipe without one.

    Raises UserError when it is not readable, or when no image holds a class of the vocabulary: every figure
    would be undefined.
    """
    evaluate = recipe.evaluate
    if evaluate.dataset is None:
        return None
    dataset = open_dataset(evaluate.dataset, evaluate.split, Vocabulary.load(recipe.vocabulary))
    if not any(dataset.labels(i) for i in range(len(dataset))):
        raise UserError(
            f"no image of the test set {evaluate.dataset!r}, split {evaluate.split!r}, holds a class of the "
            "vocabulary",
            "set evaluate.dataset to a test set of your classes, or to null to go without one",
        )
    return dataset


def split_test_set(recipe: Recipe) -> list[Part]:
    """Return the parts of the test set, in order; none for a recipe without one."""
    dataset = open_test_set(recipe)
    if dataset is None:
        return []
    # What a scene of the picture world shows follows from its name, and only drawing it would tell: 15 s for
    # all of them.
    labelled = recipe.evaluate.dataset != "picturebook"
    count = len(dataset)
    names = [f"test-{i:05d}" for i in range(-(-count // SHARD_ROWS))]
    return [Part(name, _checksum(dataset, part_numbers(name, count), labelled)) for name in names]


def part_numbers(name: str, count: int) -> range:
    """Return the numbers of the images in a part of a test set of `count` images."""
    start = int(name.removeprefix("test-")) * SHARD_ROWS
    return range(start, min(start + SHARD_ROWS, count))


def _checksum(dataset: Dataset, numbers: range, labelled: bool) -> str:
    rows = [
        [dataset.name(i), *([list(dataset.labels(i)), list(dataset.ignored(i))] if labelled else [])]
        for i in numbers
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
