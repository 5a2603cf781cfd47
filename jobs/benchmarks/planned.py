"""How well a plan foretells a run.

A first run of a recipe leaves its rates; from these a larger one is planned, and then really run.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jobs.benchmarks.report import Report, table
from jobs.console import say
from jobs.planning import plan
from jobs.planning.estimate import Line
from jobs.planning.rates import rates_of
from jobs.planning.table import duration
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.store import Store

COMMAND = "plan"
SIZES = (0.5, 1.5)  # of the recipe's captions: the first run, and the second one
WITHIN, NOISE_S = 0.25, 1.0  # a plan is right within this share, or so many seconds
STAGES = ("captions", "images", "features", "tune", "evaluate", "bundle", plan.DEPLOY)


def benchmark(recipe: Recipe, sizes: Sequence[float] = SIZES, folder: str | None = None) -> Report:
    """Run both, and compare what was planned with what the second one took.

    The runs are left in `folder`; None: they are not kept.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        first, second = (scaled(recipe, size) for size in sizes)
        rates = _run(first, place / "first")
        planned = _planned(second, place / "second", (str(place / "first"),))
        _run(second, place / "second")
        took = {rate.stage: rate for rate in rates_of(_store(place / "second"))}
        fixed = {rate.stage: rate.once_s for rate in rates}
    figures: dict[str, Any] = {}
    for line in planned:
        real = took[line.stage].seconds
        figures[line.stage] = {
            "planned_s": line.seconds,
            "real_s": real,
            "off": None if line.seconds is None else line.seconds / real - 1,
            "once_s": fixed.get(line.stage),
        }
    settings = {"recipe": recipe.name, "sizes": list(sizes), "captions": [_count(first), _count(second)]}
    return Report(COMMAND, settings, figures, _table(figures))


def scaled(recipe: Recipe, size: float) -> Recipe:
    """Return the recipe with so many times its captions, and of the painted ones."""
    if recipe.captions is None:
        raise UserError(
            "a recipe whose captions come from a file has no number of them to scale",
            "give one with the section captions",
        )
    count, painted = round(recipe.captions.count * size), recipe.images.captions
    images = {} if painted is None else {"captions": round(painted * size)}
    return recipe.model_copy(
        update={
            "captions": recipe.captions.model_copy(update={"count": count}),
            "images": recipe.images.model_copy(update=images),
        }
    )


def _run(recipe: Recipe, run: Path) -> Sequence[Any]:
    """Run the job as a user does, and return the rates that it leaves."""
    file = run.parent / f"{run.name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
    command = [sys.executable, "-m", "jobs.pipeline", "--recipe", str(file), "--run", str(run)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ended.returncode:
        raise UserError(
            f"the run in {run} failed:\n{ended.stdout[-2000:]}", "put right what its last line says"
        )
    say(ended.stdout.rstrip())
    return rates_of(_store(run))


def _planned(recipe: Recipe, run: Path, rates: tuple[str, ...]) -> list[Line]:
    """Plan a run that has not begun, from these rates."""
    store = plan.opened(recipe, str(run))
    lines = plan.plan(recipe, store, STAGES, STAGES[:-1], True, plan.Sources(rates=rates))
    return [line for line in lines if line.state == "to do"]


def _store(run: Path) -> Store:
    return Store.open(str(run), writable=False)


def _count(recipe: Recipe) -> int:
    return 0 if recipe.captions is None else recipe.captions.count


def _table(figures: dict[str, Any]) -> str:
    rows = [
        [
            stage,
            duration(each["once_s"]),
            duration(each["planned_s"]),
            duration(each["real_s"]),
            _off(each["off"]),
        ]
        for stage, each in figures.items()
    ]
    planned = sum(each["planned_s"] or 0.0 for each in figures.values())
    real = sum(each["real_s"] for each in figures.values())
    rows.append(["all", "", duration(planned), duration(real), _off(planned / real - 1)])
    head = ["stage", "once, in the first run", "planned", "the second run took", "off by"]
    missed = [name for name, each in figures.items() if not is_right(each["planned_s"], each["real_s"])]
    bounds = f"within {WITHIN:.0%}, or {NOISE_S:g} s"
    return f"{table(head, rows)}\n{f'not {bounds}: ' + ', '.join(missed) if missed else f'all {bounds}'}"


def is_right(planned: float | None, real: float) -> bool:
    """Say whether a stage took what was planned, as closely as a plan is to be."""
    return planned is not None and abs(planned - real) <= max(WITHIN * real, NOISE_S)


def _off(off: float | None) -> str:
    return "?" if off is None else f"{off:+.0%}"
