"""The images stage on many workers, with a stand-in engine of fixed cost; and the memory of its driver.

What is measured is all that is not the engine: the plan, Ray's pool of actors, commits and manifests.
"""

import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jobs.benchmarks.commits import commits
from jobs.benchmarks.images import with_captions
from jobs.benchmarks.process import measured, serve
from jobs.benchmarks.report import Report, table
from jobs.benchmarks.stand_in import WORKER, stand_in
from jobs.console import say
from jobs.ray_session import RaySession
from t2ipal.recipe import Recipe
from t2ipal.stages import images
from t2ipal.store import Store

COMMAND = "scale"
MODULE = "jobs.benchmarks.scale"

GPUS = (1, 4, 16, 64)
SECONDS = 5.0  # of a shard. 256 images are ten times that on a fast GPU
SHARDS = 12  # for each worker
SHARD_ROWS = 64

PLANNED = (10**4, 10**5, 10**6)
PLANNED_SHARD_ROWS = 256
PLANNED_WORKERS = 2
_MIB = 2**20


def benchmark(
    recipe: Recipe,
    gpus: Sequence[int] = GPUS,
    seconds: float = SECONDS,
    shards: int = SHARDS,
    planned: Sequence[int] = PLANNED,
) -> Report:
    """Measure the rate on each number of GPUs, and the driver's memory for each number of planned rows."""
    rates = {number: _rate(recipe, number, seconds, shards) for number in gpus}
    grown = {rows: _grown(recipe, rows) for rows in planned}
    one = rates[gpus[0]] / gpus[0]
    efficiency = {number: rate / (number * one) for number, rate in rates.items()}
    figures: dict[str, Any] = {
        **{f"efficiency_at_{number}": value for number, value in efficiency.items()},
        **{f"shards_per_s_at_{number}": value for number, value in rates.items()},
        **{f"driver_mib_at_{rows}_rows": value for rows, value in grown.items()},
    }
    settings = {"shard_seconds": seconds, "shards_per_worker": shards, "rows_per_shard": SHARD_ROWS}
    return Report(COMMAND, settings, figures, _table(rates, efficiency, grown))


def _table(rates: dict[int, float], efficiency: dict[int, float], grown: dict[int, float]) -> str:
    speed = [[str(n), f"{rates[n]:.3f}", f"{100 * efficiency[n]:.1f} %"] for n in rates]
    memory = [[str(rows), f"{mib:.1f}"] for rows, mib in grown.items()]
    return "\n\n".join(
        [
            table(["GPUs", "shards per second", "efficiency"], speed),
            table(["planned rows", "MiB that the driver grew by at most"], memory),
        ]
    )


def _rate(recipe: Recipe, gpus: int, seconds: float, shards: int) -> float:
    given = pool_of(recipe, gpus, gpus * shards * SHARD_ROWS, SHARD_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        with_captions(given, folder)
        arguments = {"recipe": given.model_dump(mode="json"), "folder": folder, "seconds": seconds}
        found = float(measured(MODULE, "rate", arguments)["shards_per_second"])
    say(f"{gpus} GPUs: {found:.3f} shards per second")
    return found


def _grown(recipe: Recipe, rows: int) -> float:
    given = pool_of(recipe, PLANNED_WORKERS, rows, PLANNED_SHARD_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        with_captions(given, folder)
        arguments = {"recipe": given.model_dump(mode="json"), "folder": folder}
        found = measured(MODULE, "memory", arguments)
    say(f"{rows} planned rows: the driver grew by {found['mib']:.1f} MiB in {found['seconds']:.0f} s")
    return float(found["mib"])


def pool_of(recipe: Recipe, gpus: int, rows: int, shard_rows: int) -> Recipe:
    """Return the recipe with a worker for each of `gpus` GPUs and `rows` images to paint."""
    assert recipe.captions is not None
    # No CPU for a worker that only sleeps: Ray would start as many processes in advance as it has CPUs.
    workers = recipe.images.workers.model_copy(update={"min": gpus, "max": gpus, "cpus": 0.0, "gpus": 1.0})
    painted = {"per_caption": 1, "captions": None, "shard_rows": shard_rows, "workers": workers}
    asked = {"count": rows, "shard_rows": shard_rows}
    return recipe.model_copy(
        update={
            "images": recipe.images.model_copy(update=painted),
            "captions": recipe.captions.model_copy(update=asked),
        }
    )


def rate(recipe: dict[str, Any], folder: str, seconds: float) -> dict[str, Any]:
    """Measure the shards committed a second while all workers are at work."""
    given, store = _opened(recipe, folder)
    gpus = given.images.workers.max
    with RaySession(given, offline=True, num_gpus=gpus) as session:
        session.start()
        images.run(given, store, stand_in(seconds))
    return {"shards_per_second": together(by_worker(store), gpus)}


def by_worker(store: Store) -> dict[int, list[float]]:
    """Return the times of the commits of every worker, in order."""
    shards = store.shards(images.STAGE)
    found: dict[int, list[float]] = defaultdict(list)
    done = shards.done()
    for name, time_s in commits(shards).items():
        found[done[name].extra[WORKER]].append(time_s)
    return {worker: sorted(times) for worker, times in found.items()}


def together(times: dict[int, list[float]], workers: int) -> float:
    """Return the commits a second of all workers, from when each of them has made one to when one has made
    its last.

    Each one's rate is that of the commits in between, so that where in a shard a worker is at either end
    makes no difference.
    """
    if len(times) < workers:
        raise ValueError(f"of {workers} workers {len(times)} came to work; give each more shards")
    begin, end = max(each[0] for each in times.values()), min(each[-1] for each in times.values())
    within = [[time_s for time_s in each if begin <= time_s <= end] for each in times.values()]
    if min(len(each) for each in within) < 2:
        raise ValueError("the workers were at work together for less than two shards; give each more shards")
    return sum((len(each) - 1) / (each[-1] - each[0]) for each in within)


def memory(recipe: dict[str, Any], folder: str) -> dict[str, Any]:
    """Measure by how much the driver of the stage grows at most."""
    given, store = _opened(recipe, folder)
    with RaySession(given, offline=True, num_gpus=given.images.workers.max) as session:
        session.start()
        before, start = _peak(), time.monotonic()
        images.run(given, store, stand_in(0.0))
    return {"mib": (_peak() - before) / _MIB, "seconds": time.monotonic() - start}


def _opened(recipe: dict[str, Any], folder: str) -> tuple[Recipe, Store]:
    given, store = Recipe.model_validate(recipe), Store.open(folder)
    store.claim(given)
    return given, store


def _peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    serve({"rate": rate, "memory": memory})
