"""What a job tells Prometheus, through Ray: how far each stage is. Rates are Prometheus' own business.

t2ipal_stage_done, t2ipal_stage_planned{stage, unit}    of this run of the stage
t2ipal_stage_outcomes{stage, outcome}                   "rejected", "redrawn", "refused", "failed", "attempt"
"""

from t2ipal.watch import Progress, Watch


def exported(stage: str) -> Watch:
    """Return a watch that keeps a stage's figures; they are there for Prometheus while the job lives."""
    from ray.util.metrics import Gauge

    done = Gauge("t2ipal_stage_done", "What a stage has done.", ("stage", "unit"))
    planned = Gauge("t2ipal_stage_planned", "What a stage has to do.", ("stage", "unit"))
    outcomes = Gauge("t2ipal_stage_outcomes", "What became of it.", ("stage", "outcome"))

    def watch(progress: Progress) -> None:
        tags = {"stage": stage, "unit": progress.unit}
        done.set(progress.done, tags)
        planned.set(progress.planned, tags)
        for outcome, count in progress.counts.items():
            outcomes.set(count, {"stage": stage, "outcome": outcome})

    return watch
