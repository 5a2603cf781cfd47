"""Which classes each caption is asked to name.

The plan is a function of the row index: any slice of it is computed without the rest, so a run of a million
captions needs no table of requests, and a shard that was lost is planned again exactly as before.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from t2ipal.captions.cooccurrence import Cooccurrence
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.seeds import derive_seed
from t2ipal.shard_names import captions_shard, number_of
from t2ipal.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class CaptionPlan:
    """Requested classes by row, and rows by shard.

    Rows come in blocks of `num_classes`. All rows of a block ask for the same number of classes k, which runs
    through `classes_per_caption` (both ends included) from block to block. Without a prior each class is
    asked for in exactly k rows of a block, with any others; with one, the rows of the same k follow its
    shares.
    """

    count: int
    """Number of captions asked for."""
    num_classes: int
    classes_per_caption: tuple[int, int]
    shard_rows: int
    seed: int
    prior: Cooccurrence | None = None

    def __post_init__(self) -> None:
        low, high = self.classes_per_caption
        if not 1 <= low <= high <= self.num_classes:
            raise UserError(
                f"captions.classes_per_caption is {[low, high]}, but there are {self.num_classes} classes",
                f"give two numbers from 1 to {self.num_classes}, the smaller one first",
            )

    @classmethod
    def of(cls, recipe: Recipe, prior: Cooccurrence | None = None) -> Self:
        """Return the plan of a recipe whose captions a language model writes.

        Its shards need no prior, its classes the one that the recipe asks for.
        """
        if recipe.captions is None:
            raise ValueError("captions from a file are not planned")
        return cls(
            count=recipe.captions.count,
            num_classes=len(Vocabulary.load(recipe.vocabulary)),
            classes_per_caption=recipe.captions.classes_per_caption,
            shard_rows=recipe.captions.shard_rows,
            seed=recipe.seed,
            prior=prior,
        )

    def classes(self, index: int) -> tuple[int, ...]:
        """Return the distinct classes that caption `index` must name, in the order to ask for them."""
        block, position = divmod(index, self.num_classes)
        low, high = self.classes_per_caption
        sizes = high - low + 1
        k = low + block % sizes
        if self.prior is not None:
            return self.prior.combination(k, block // sizes * self.num_classes + position, self.seed)
        order, shifts = _block(self.seed, block, self.num_classes)
        # Every shift maps the positions of a block one to one onto the classes: hence the equal shares.
        return tuple(order[(position + shift) % self.num_classes] for shift in shifts[:k])

    def shards(self) -> list[str]:
        """Return the names of all shards in row order."""
        return [*map(captions_shard, range(-(-self.count // self.shard_rows)))]

    def rows(self, shard: str) -> range:
        """Return the row indices of a shard by its name."""
        start = number_of(shard) * self.shard_rows
        return range(start, min(start + self.shard_rows, self.count))


@lru_cache(maxsize=64)
def _block(seed: int, block: int, num_classes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return two permutations, random by block: of the classes, and of the shifts with 0 kept first."""

    # Sorting by derived seeds, unlike random.shuffle, is the same in every version of Python.
    def shuffled(numbers: range, what: str) -> tuple[int, ...]:
        return tuple(sorted(numbers, key=lambda number: derive_seed(seed, "plan", what, block, number)))

    return shuffled(range(num_classes), "order"), (0, *shuffled(range(1, num_classes), "shift"))
