"""The driver of the captions stage alone: every answer of all engines passes through this one process, which
matches it to the classes asked for, gathers shards and commits them.

A stand-in of fixed cost takes the language model's place in this process, so that no Ray is needed. What Ray
Data holds of each block comes on top of the memory that is measured here; `scale` measures it in the images
stage.
"""

import resource
import tempfile
import time
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

from jobs.benchmarks.process import measured, serve
from t2ipal.captions.collect import Answer
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prompt import join_names
from t2ipal.captions.requests import MakeRequests
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.stages import captions
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

MODULE = "jobs.benchmarks.driver"
SHARD_ROWS = 256
_MIB = 2**20


def planned(recipe: Recipe, rows: int) -> dict[str, float]:
    """Measure the driver on so many planned captions, in a process of its own.

    Returns `rows_per_s`, the captions committed a second with all their answers, and `mib`, what the driver
    grew by at most.
    """
    if recipe.captions is None:
        raise UserError("the recipe has no section captions: no language model writes", "give another recipe")
    once = {"attempts": 1, "drop_similar": None, "prior": None, "endpoint": None}
    asked = recipe.captions.model_copy(update={"count": rows, "shard_rows": SHARD_ROWS, **once})
    images = recipe.images.model_copy(update={"captions": None})
    given = recipe.model_copy(update={"captions": asked, "images": images})
    return measured(MODULE, "driver", {"recipe": given.model_dump(mode="json")})


def driver(recipe: dict[str, Any]) -> dict[str, float]:
    """Measure the stage from its beginning to its report."""
    given = Recipe.model_validate(recipe)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder)
        store.claim(given)
        Vocabulary.load(given.vocabulary).labels("a word")  # loads the tables of inflections, once for all
        before, start = peak_bytes(), time.perf_counter()
        report = captions.run(given, store, partial(_stand_in, given))
        seconds = time.perf_counter() - start
    return {"rows_per_s": report.rows / seconds, "mib": (peak_bytes() - before) / _MIB}


def peak_bytes() -> int:
    """Return the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _stand_in(recipe: Recipe, shards: Sequence[str], make_requests: MakeRequests) -> Generator[Answer]:
    """Yield answers that name what was asked, but for every second row's first one, which names nothing.

    Requests are not made: Ray's tasks do that.
    """
    plan, names = CaptionPlan.of(recipe), Vocabulary.load(recipe.vocabulary).names
    assert recipe.captions is not None
    for shard in shards:
        for row in plan.rows(shard):
            text = f"a picture of {join_names([names[i] for i in plan.classes(row)])}"
            for candidate in range(recipe.captions.candidates):
                wrong = row % 2 == 0 and candidate == 0 and recipe.captions.candidates > 1
                yield Answer(shard, row, candidate, "a picture of nothing" if wrong else text)


if __name__ == "__main__":
    serve({"driver": driver})
