"""How often classes are named, alone and together: counted, and as shares that a plan follows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from t2ipal.seeds import derive_seed

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_GOLDEN = 0.6180339887498949  # the golden ratio less 1
_BALANCED = 1e-9  # largest error of a class's share
_ROUNDS = 100
_SAMPLES, _FITS = 4096, 20
_LEAST = 1e-6  # of a weight: above 0, so that there is always one more class


class LabelCounts(NamedTuple):
    """What `count_labels` counts."""

    sentences: int
    classes: Counts
    """[C] sentences that name the class."""
    pairs: Counts
    """[C, C] sentences that name both classes, above the diagonal; 0 elsewhere."""


def count_labels(sentences: Iterable[Sequence[int]], num_classes: int) -> LabelCounts:
    """Count the classes, in increasing order, that each sentence names, and the pairs of them."""
    number = 0
    classes = np.zeros(num_classes, dtype=np.int64)
    pairs = np.zeros((num_classes, num_classes), dtype=np.int64)
    for labels in sentences:
        number += 1
        for a in labels:
            classes[a] += 1
        for a, b in combinations(labels, 2):
            pairs[a, b] += 1
    return LabelCounts(number, classes, pairs)


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """Shares of classes and pairs, and combinations of classes drawn by them.

    The combinations of one size follow each other at equal steps of the golden ratio through the classes, or
    the pairs, laid end to end. So of n combinations each class, or pair, gets n times its share but for a
    few, at every n, where independent draws would miss it by the square root (Kronecker's sequence;
    Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods, 1992, chapter 3).
    """

    classes: Floats
    """[C] share of each class; their sum is 1."""
    pairs: Floats
    """[C, C] share of each pair, above the diagonal; their sum is 1."""
    further: Floats
    """[S, C] weight of each class as the third one, the fourth one and so on, apart from whom it meets."""

    @classmethod
    def of_counts(cls, counts: LabelCounts, uniform: float, balance: float, largest: int = 2) -> Self:
        """Return shares that follow counts of 2 classes or more, for combinations of up to `largest`.

        `uniform`, above 0, is the share that goes to all classes, and to all pairs, alike. With `balance` 1
        every class has the same share, with 0 the one that it has in the counts. The pairs are scaled to
        these shares by iterative proportional fitting (Deming and Stephan, 1940), which keeps the odds ratios
        of the counts. No class has more than half of the places in pairs: it is in each at most once.
        """
        n = len(counts.classes)
        above = np.triu(np.ones((n, n)), k=1)
        shares = _mixed(counts.classes, np.ones(n), uniform) ** (1 - balance)
        classes = shares / shares.sum()
        pairs = np.triu(_scaled(_mixed(counts.pairs, above, uniform), classes), k=1)
        prior = cls(classes, pairs, np.empty((0, n)))
        for size in range(3, largest + 1):
            prior = replace(prior, further=np.vstack([prior.further, prior._weights(size)]))
        return prior

    def combination(self, size: int, number: int, seed: int) -> tuple[int, ...]:
        """Return the classes of the `number`-th combination of this size, in random order."""
        start = derive_seed(seed, "prior", size) / 2**63
        at = (start + number * _GOLDEN) % 1.0
        if size == 1:
            return (_place(np.cumsum(self.classes), at),)
        first, second, ends = self._ends
        pair = _place(ends, at)
        chosen = [int(first[pair]), int(second[pair])]
        while len(chosen) < size:
            draw = derive_seed(seed, "prior", size, number, len(chosen)) / 2**63
            chosen.append(self._another(chosen, draw))
        return tuple(sorted(chosen, key=lambda each: derive_seed(seed, "prior", size, number, "order", each)))

    def _another(self, chosen: Sequence[int], draw: float) -> int:
        """Draw one more class, as if the chosen ones were independent of each other given it."""
        weights = self.further[len(chosen) - 2] * np.prod(self._lift[chosen], axis=0)
        weights[chosen] = 0.0
        return _place(np.cumsum(weights), draw)

    def _weights(self, size: int) -> Floats:
        """Return weights [C] with which each class is added to smaller combinations as often as its share is.

        With equal ones those that meet many others would come up too often. `_SAMPLES` combinations stand for
        all.
        """
        chosen = np.array([self.combination(size - 1, number, seed=0) for number in range(_SAMPLES)])
        given = np.prod(self._lift[chosen], axis=1)
        np.put_along_axis(given, chosen, 0.0, axis=1)
        weights = self.classes
        for _ in range(_FITS):
            drawn = given * weights
            share = (drawn / drawn.sum(axis=1, keepdims=True)).mean(axis=0)
            weights = weights * self.classes / np.maximum(share, _LEAST)  # a class may be in all of them
            weights = np.maximum(weights / weights.sum(), _LEAST)
        return weights

    @cached_property
    def _ends(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
        """The pairs, and where each ends when they are laid end to end."""
        first, second = np.triu_indices(len(self.classes), k=1)
        return first, second, np.cumsum(self.pairs[first, second])

    @cached_property
    def _lift(self) -> Floats:
        lift: Floats = (self.pairs + self.pairs.T) / np.outer(self.classes, self.classes)
        return lift.clip(_LEAST, 1 / _LEAST)

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the shares by name as JSON, from which the very same numbers are read again."""
        pairs = {
            a: {b: float(self.pairs[i, j]) for j, b in enumerate(names) if j > i}
            for i, a in enumerate(names[:-1])
        }
        classes, *further = (
            dict(zip(names, each.tolist(), strict=True)) for each in (self.classes, *self.further)
        )
        return {"classes": classes, "pairs": pairs, "further": further}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], names: Sequence[str]) -> Self:
        """Return what `to_json` made; KeyError if a class is missing."""
        pairs = np.zeros((len(names), len(names)))
        for i, j in combinations(range(len(names)), 2):
            pairs[i, j] = content["pairs"][names[i]][names[j]]
        classes, *further = (
            np.array([each[name] for name in names]) for each in (content["classes"], *content["further"])
        )
        return cls(classes, pairs, np.array(further).reshape(len(further), len(names)))


def _place(ends: Floats, at: float) -> int:
    """Return which of the parts that end at `ends` holds the point at the share `at` of the whole."""
    return min(int(np.searchsorted(ends, at * ends[-1], side="right")), len(ends) - 1)


def _mixed(counts: Counts, alike: Floats, uniform: float) -> Floats:
    counted = counts / max(int(counts.sum()), 1)
    mixed: Floats = (1 - uniform) * counted + uniform * alike / alike.sum()
    return mixed


def _scaled(pairs: Floats, classes: Floats) -> Floats:
    """Scale pairs [C, C], given above the diagonal, so that every class has its share of their places.

    Where that cannot be, with a share above half, the steps never end, and the last one is as near as any.
    """
    both = pairs + pairs.T
    factors = np.ones(len(classes))
    for _ in range(_ROUNDS):
        places = factors * (both @ factors)
        factors *= np.sqrt(classes / places)
        if np.abs(places - classes).max() < _BALANCED:
            break
    scaled: Floats = both * factors[:, None] * factors
    scaled /= np.triu(scaled, k=1).sum()
    return scaled
