"""Two runs side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from t2ipal.evaluation.bootstrap import Interval, difference, resampled_map
from t2ipal.recipe import Recipe
from t2ipal.report.content import Content, PaintedClass
from t2ipal.report.gather import gather
from t2ipal.report.quality import labels_of, scores_of
from t2ipal.run_files import PREDICTIONS
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

Run = tuple[Recipe, Store]


@dataclass(frozen=True)
class Setting:
    """A key of the recipe, and its values."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Comparison:
    """What is on the page of two runs."""

    a: Content
    b: Content
    gain: Interval | None  # mAP of b - a on the same test images; else None
    settings: tuple[Setting, ...]  # that differ, and have an effect

    @property
    def classes(self) -> tuple[str, ...]:
        """Those that both know, in the order of a's."""
        return tuple(name for name in self.a.classes if name in self.b.classes)

    def painted(self) -> list[tuple[PaintedClass, PaintedClass]]:
        """Synthetic images of the classes that both have some of."""
        a, b = (
            {each.name: each for each in (run.synthetic.classes if run.synthetic else ())}
            for run in (self.a, self.b)
        )
        return [(a[name], b[name]) for name in self.classes if name in a and name in b]

    @property
    def painted_alike(self) -> bool:
        """Whether none of these images differ."""
        return all(a == b for a, b in self.painted())


def compare(a: Run, b: Run) -> Comparison:
    """Return what is to be said of two runs. Takes some seconds more than both pages."""
    contents = gather(*a), gather(*b)
    return Comparison(*contents, gain=_gain(contents, a, b), settings=_settings(a[0], b[0]))


def _gain(contents: tuple[Content, Content], a: Run, b: Run) -> Interval | None:
    """The difference and its interval, where both were asked for the same classes of the same images."""
    if any(content.quality is None for content in contents) or _asked(*a) != _asked(*b):
        return None
    labels = labels_of(*a)
    if not np.array_equal(labels, labels_of(*b)):
        return None
    ours, theirs = (
        resampled_map([scores_of(store, recipe.tune.method, labels.shape[1])], labels)
        for recipe, store in (b, a)
    )
    return difference(ours, theirs)


def _asked(recipe: Recipe, store: Store) -> tuple[tuple[str, ...], list[str]]:
    """The classes, and the names of the test images."""
    images = store.shards(PREDICTIONS).read(recipe.tune.method, ["image"])["image"].to_pylist()
    return Vocabulary.load(recipe.vocabulary).names, images


def _settings(a: Recipe, b: Recipe) -> tuple[Setting, ...]:
    ours, theirs = a.settings(), b.settings()
    return tuple(Setting(key, _value(ours, key), _value(theirs, key)) for key in a.differences(theirs))


def _value(settings: Mapping[str, Any], dotted: str) -> Any:
    found: Any = settings
    for key in dotted.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
