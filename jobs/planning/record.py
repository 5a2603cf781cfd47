"""What the stages of a job take is written down while it runs, as the rates of later plans."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from jobs.machine import versions
from jobs.planning.hardware import Hardware, described
from jobs.planning.needs import DEPLOY, ask, basis
from jobs.planning.rates import Measured, Rate, RatesFile, rates_of
from t2ipal.recipe import Recipe
from t2ipal.run_files import RATES
from t2ipal.stages.report import StageReport
from t2ipal.store import Store

ANSWER_S = 30.0  # within which a machine says what it is


class Recorder:
    """Writes what each stage took into the file of the run, behind what is there."""

    def __init__(self, recipe: Recipe, store: Store, joins: bool) -> None:
        """`joins`: whether the job runs on a cluster, whose workers are on other machines than its driver."""
        self._recipe, self._joins = recipe, joins
        self._since = time.monotonic()  # the end of the stage before
        self._store = store.apart()  # a note is no reason for the job to list its folders anew

    def stage(self, report: StageReport) -> None:
        """Write down a run of a stage that had something to do."""
        if report.already_complete:
            self._since = time.monotonic()
            return
        effort = report.effort
        asked = report.notes.get("asked")
        self._write(
            report.stage,
            rows=report.rows,
            shards=report.shards_total - report.shards_done_before,
            kept=report.rows / asked if isinstance(asked, int) and asked else None,
            workers=effort.workers,
            seconds=report.seconds,
            once_s=max(0.0, report.seconds - effort.seconds),
            work={
                kind: Measured(amount=each.amount, seconds=each.seconds) for kind, each in effort.work.items()
            },
        )

    def took(self, stage: str) -> None:
        """Write down what has happened since the stage before, and takes the same time whatever the rows."""
        seconds = time.monotonic() - self._since
        workers = self._recipe.serve.replicas.min if stage == DEPLOY else 1
        self._write(stage, rows=1, shards=1, workers=workers, seconds=seconds, once_s=seconds)

    def _write(self, stage: str, **took: Any) -> None:
        asked, made = ask(self._recipe, stage), basis(self._recipe, stage)
        elsewhere = self._joins and not asked.on_driver
        machines = workers_machines(asked.gpus > 0) if elsewhere else [described()]
        rate = Rate(
            stage=stage,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            hardware=Hardware.model_validate(machines[0]),
            nodes=len(machines),
            versions=versions(),
            settings=made.settings,
            scales=made.scales,
            told=made.told,
            cpus=asked.cpus,
            gpus=asked.gpus,
            **took,
        )
        known = RatesFile(rates=(*rates_of(self._store), rate))
        self._store.write_json(RATES, known.model_dump(mode="json"))
        self._since = time.monotonic()


def workers_machines(with_gpus: bool) -> list[dict[str, Any]]:
    """Return descriptions of those machines of the cluster that have what a stage asks for. Needs Ray.

    A node that goes away just now is passed over, and so is one that takes long.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    fitting = [
        node
        for node in nodes
        if node["Alive"]
        and node["Resources"].get("CPU", 0) > 0
        and (node["Resources"].get("GPU", 0) > 0) == with_gpus
    ]
    describe = ray.remote(num_cpus=0)(described)
    asked = [
        describe.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in fitting
    ]
    answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
    found = []
    for each in answered:
        with suppress(RayError):
            found.append(ray.get(each))
    return found or [described()]
