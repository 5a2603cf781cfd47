"""Rates as runs leave them, for machines that nobody has."""

from jobs.planning.hardware import Hardware
from jobs.planning.rates import Measured, Rate

HERE = Hardware(cpu="Some CPU", cores=2)
A10G = Hardware(type="g5.2xlarge", gpus=("NVIDIA A10G",))


def rate(stage="images", **changes):
    """A rate of 100 rows in 60 s, of which 10 come once, by two workers."""
    values = {
        "stage": stage,
        "ended": "2026-11-01T12:00:00+00:00",
        "hardware": HERE,
        "versions": {},
        "settings": {},
        "rows": 100,
        "shards": 4,
        "workers": 2,
        "seconds": 60.0,
        "once_s": 10.0,
        "work": {stage: Measured(amount=100, seconds=100.0)},
    }
    return Rate(**(values | changes))
