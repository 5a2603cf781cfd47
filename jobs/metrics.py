"""What a job tells Prometheus, through Ray: how far each stage is. Rates are Prometheus' own business.

t2ipal_stage_done, t2ipal_stage_planned{stage, unit}    of this run of the stage
t2ipal_stage_outcomes{stage, outcome}                   "rejected", "redrawn", "refused", "failed", "attempt"
"""

from collections.abc import Iterator
from contextlib import contextmanager

from t2ipal.watch import Progress, Watch, repeated

AGAIN_S = 5.0  # Ray forgets a figure that was not set for 20 s; a shard of images takes minutes


@contextmanager
def exported(stage: str) -> Iterator[Watch]:
    """Within, Prometheus finds what the watch was told last."""
    from ray.util.metrics import Gauge

    done = Gauge("t2ipal_stage_done", "What a stage has done.", ("stage", "unit"))
    planned = Gauge("t2ipal_stage_planned", "What a stage has to do.", ("stage", "unit"))
    outcomes = Gauge("t2ipal_stage_outcomes", "What became of it.", ("stage", "outcome"))
    last: Progress | None = None

    def tell() -> None:
        if last is None:
            return
        tags = {"stage": stage, "unit": last.unit}
        done.set(last.done, tags)
        planned.set(last.planned, tags)
        for outcome, count in last.counts.items():
            outcomes.set(count, {"stage": stage, "outcome": outcome})

    def watch(progress: Progress) -> None:
        nonlocal last
        last = progress
        tell()

    with repeated(tell, AGAIN_S):
        yield watch
