"""Sweep: one method with many settings on the features of one run, as trials of Ray Tune.

    <out>/test_features                of the photos to choose by, as the stage features leaves them
    <out>/trials/<method>-<digest>/    as the stage tune leaves them, by a digest of all that they depend on
    <out>/predictions/<method>-<digest>
    <out>/ray/                         Ray Tune's own notes

Every point of the grid is an entry of a comparison (t2ipal.stages.compare), and is passed over like one when
it is there: so a sweep may be interrupted, and another one with further values does only what is new.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.run_files import RAY_NOTES
from t2ipal.stages import compare, features
from t2ipal.stages.compare import Entry
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.grid import SEED, Point, Settings
from t2ipal.tuning.trial import Trial

STAGE = "sweep"
TABLES = (features.TEST,)  # of the photos

# Else Ray Tune writes logs of its own for each trial, moves into their folders, and keeps Ctrl-C to itself.
_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}

Told = Callable[[StageReport], None]


def entries(points: Sequence[Point], run: Store, out: Store) -> list[Entry]:
    """Return an entry for each point; those of equal settings are equal."""
    return [_entry(point, run, out) for point in points]


def _entry(point: Point, run: Store, out: Store) -> Entry:
    plain = Trial.of(point.recipe, run)
    digest = plain.settings_digest()
    trial = Trial(point.recipe, run, plain.method, plain.seed, out, f"trials/{plain.method}-{digest}")
    return Entry(plain.method, trial, point=digest)


def complete(plan: Sequence[Entry], told: Told) -> StageReport:
    """Tune and score what is missing; tell of each entry as it is done. Needs an initialised Ray and finished
    features.
    """
    start = time.monotonic()
    every = {entry.shard: entry for entry in plan}
    missing = [entry for entry in every.values() if not entry.is_done()]
    if missing:
        compare.check_input([entry.trial for entry in missing])
        _with_tune(missing, told)
    return StageReport(
        stage=STAGE,
        rows=len(every),
        shards_total=len(every),
        shards_done_before=len(every) - len(missing),
        seconds=time.monotonic() - start,
    )


def _with_tune(missing: Sequence[Entry], told: Told) -> None:
    from ray import tune

    class Progress(tune.Callback):
        """Tells of every trial when it has ended."""

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            if "rows" in trial.last_result:
                told(_report(missing[trial.config["entry"]], trial.last_result))

    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    first = missing[0].trial
    needs = {"CPU": float(compare.CPUS), "GPU": float(first.recipe.tune.gpu)}
    labels = first.recipe.tune.workers.labels
    place = tune.PlacementGroupFactory([needs], bundle_label_selector=[labels] if labels else None)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(_tune_and_score, plan=missing), place),
        param_space={"entry": tune.grid_search(list(range(len(missing))))},
        tune_config=tune.TuneConfig(reuse_actors=True),  # each imports torch
        run_config=tune.RunConfig(
            name="tune",
            storage_path=first.store.path(RAY_NOTES),
            storage_filesystem=first.store.filesystem,
            # A trial whose worker or node dies goes on from its last checkpoint.
            failure_config=tune.FailureConfig(max_failures=compare.MAX_RETRIES),
            callbacks=[Progress()],
            verbose=0,
        ),
    )
    results = tuner.fit()
    for result in (results[i] for i in range(len(results))):
        if result.error is not None:
            raise result.error
        metrics = result.metrics or {}
        if "problem" in metrics:
            raise UserError(metrics["problem"], metrics["remedy"])


def _tune_and_score(config: dict[str, Any], plan: Sequence[Entry]) -> None:
    """One trial of Ray Tune, on a worker."""
    from ray import tune

    try:
        (report,) = compare.complete_here([plan[config["entry"]]])
    except UserError as error:  # the same at every attempt: Ray Tune need not try again
        tune.report({"problem": error.problem, "remedy": error.remedy})
        return
    tune.report({"rows": report.rows, "seconds": report.seconds, **report.notes})


def _report(entry: Entry, result: dict[str, Any]) -> StageReport:
    return StageReport(
        stage=entry.shard,
        rows=result["rows"],
        shards_total=1,
        shards_done_before=0,
        seconds=result["seconds"],
        notes={"mAP": result["mAP"]},
    )


def summary(points: Sequence[Point], plan: Sequence[Entry], recipe: Recipe, out: Store) -> dict[str, Any]:
    """Return the content of sweep.json: an entry for each combination of settings but for the seed, whose
    figures are means over the seeds. Needs every entry to be done; no Ray.
    """
    from t2ipal.evaluation.report import summarise

    manifests = out.shards(compare.TABLE).done()
    groups: list[tuple[Settings, list[Any], list[Entry]]] = []
    for point, entry in zip(points, plan, strict=True):
        settings = {key: value for key, value in point.settings.items() if key != SEED}
        found = next((group for group in groups if group[0] == settings), None)
        if found is None:
            groups.append(found := (settings, [], []))
        found[1].append(entry.trial.seed)
        found[2].append(entry)
    rows = [
        {
            "settings": settings,
            "seeds": seeds,
            "predictions": [entry.shard for entry in group],
            **summarise([manifests[entry.shard].extra["figures"] for entry in group]),
        }
        for settings, seeds, group in groups
    ]
    best = max(range(len(rows)), key=lambda i: rows[i]["mAP"]["mean"])
    test, evaluate = out.shards(features.TEST), recipe.evaluate
    count = sum(manifest.rows for manifest in test.done().values())
    return {
        "dataset": evaluate.dataset,
        "split": evaluate.split,
        "images": count,
        "best": rows[best]["settings"],
        "points": rows,
    }
