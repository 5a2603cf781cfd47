"""The images stage on many workers, with a stand-in engine of fixed cost; and the drivers of both stages.

What is measured is all that is not the engine: the plan, Ray's pool of actors, commits and manifests.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jobs.benchmarks.commits import commits
from jobs.benchmarks.driver import peak_bytes
from jobs.benchmarks.driver import planned as captions_planned
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
    """Measure the rate on each number of GPUs, and the drivers for each number of planned rows.

    Of the efficiencies one is of the steady state (see `together`), the other of the wall clock: of the whole
    stage, with the start of its workers and the last ones at work, as every worker has as many shards.
    """
    runs = {number: _run(recipe, number, seconds, shards) for number in gpus}
    grown = {rows: _grown(recipe, rows) for rows in planned}
    written = {rows: _written(recipe, rows) for rows in planned}
    one, first = runs[gpus[0]]["shards_per_s"] / gpus[0], runs[gpus[0]]["seconds"]
    for number, run in runs.items():
        run["efficiency"] = run["shards_per_s"] / (number * one)
        run["wall_clock_efficiency"] = first / run["seconds"]
    figures: dict[str, Any] = {
        **{f"{name}_at_{number}": value for number, run in runs.items() for name, value in run.items()},
        **{f"driver_mib_at_{rows}_rows": value for rows, value in grown.items()},
        **{f"captions_driver_mib_at_{rows}_rows": found["mib"] for rows, found in written.items()},
        **{f"captions_driver_rows_per_s_at_{rows}": found["rows_per_s"] for rows, found in written.items()},
    }
    settings = {"shard_seconds": seconds, "shards_per_worker": shards, "rows_per_shard": SHARD_ROWS}
    return Report(COMMAND, settings, figures, _table(runs, grown, written))


def _table(
    runs: dict[int, dict[str, float]], grown: dict[int, float], written: dict[int, dict[str, float]]
) -> str:
    speed = [
        [
            str(gpus),
            f"{run['shards_per_s']:.3f}",
            f"{100 * run['efficiency']:.1f} %",
            f"{run['seconds']:.0f}",
            f"{100 * run['wall_clock_efficiency']:.1f} %",
        ]
        for gpus, run in runs.items()
    ]
    drivers = [
        [str(rows), f"{grown[rows]:.1f}", f"{each['mib']:.1f}", f"{each['rows_per_s']:.0f}"]
        for rows, each in written.items()
    ]
    return "\n\n".join(
        [
            table(["GPUs", "shards per second", "efficiency", "s in all", "of the wall clock"], speed),
            table(["planned rows", "MiB of the images driver", "of the captions driver", "rows/s"], drivers),
        ]
    )


def _run(recipe: Recipe, gpus: int, seconds: float, shards: int) -> dict[str, float]:
    given = pool_of(recipe, gpus, gpus * shards * SHARD_ROWS, SHARD_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        with_captions(given, folder)
        arguments = {"recipe": given.model_dump(mode="json"), "folder": folder, "seconds": seconds}
        found: dict[str, float] = measured(MODULE, "rate", arguments)
    say(f"{gpus} GPUs: {found['shards_per_s']:.3f} shards per second, {found['seconds']:.0f} s in all")
    return found


def _grown(recipe: Recipe, rows: int) -> float:
    given = pool_of(recipe, PLANNED_WORKERS, rows, PLANNED_SHARD_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        with_captions(given, folder)
        arguments = {"recipe": given.model_dump(mode="json"), "folder": folder}
        found = measured(MODULE, "memory", arguments)
    say(f"{rows} planned rows: the driver grew by {found['mib']:.1f} MiB in {found['seconds']:.0f} s")
    return float(found["mib"])


def _written(recipe: Recipe, rows: int) -> dict[str, float]:
    found = captions_planned(recipe, rows)
    say(f"{rows} planned captions: {found['rows_per_s']:.0f} a second, {found['mib']:.1f} MiB")
    return found


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
    """Measure the shards committed a second while all workers are at work, and the seconds in all."""
    given, store = _opened(recipe, folder)
    gpus = given.images.workers.max
    with RaySession(given.ray, offline=True, num_gpus=gpus) as session:
        session.start()
        start = time.monotonic()
        images.run(given, store, stand_in(seconds))
        whole = time.monotonic() - start
    return {"shards_per_s": together(by_worker(store), gpus), "seconds": whole}


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
    with RaySession(given.ray, offline=True, num_gpus=given.images.workers.max) as session:
        session.start()
        before, start = peak_bytes(), time.monotonic()
        images.run(given, store, stand_in(0.0))
    return {"mib": (peak_bytes() - before) / _MIB, "seconds": time.monotonic() - start}


def _opened(recipe: dict[str, Any], folder: str) -> tuple[Recipe, Store]:
    given, store = Recipe.model_validate(recipe), Store.open(folder)
    store.claim(given)
    return given, store


if __name__ == "__main__":
    serve({"rate": rate, "memory": memory})
