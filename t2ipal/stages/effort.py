"""What the workers of a stage did in one run of it: the part of its time that grows with its rows."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """One kind of rows: how many of them, and how many seconds of a worker they took."""

    amount: float
    seconds: float


@dataclass(frozen=True)
class Effort:
    """The work of a stage, by kind. What else the stage took, starts and ends, comes once."""

    work: Mapping[str, Work] = field(default_factory=dict)
    workers: int = 1
    shards: int = 0
    """Which a worker does whole, one after the other; 0: the work is divided evenly among the workers."""

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the worker that has most to do."""
        return busiest(sum(each.seconds for each in self.work.values()), self.workers, self.shards)


def busiest(seconds: float, workers: int, shards: int) -> float:
    """Return the seconds of the worker that has most to do, of all workers' together, for equal shards."""
    if not shards:
        return seconds / workers
    return seconds / shards * -(-shards // workers)


class Laps:
    """The time of a worker that has several shards in hand, divided among them: each has the time since the
    one before it was finished.
    """

    def __init__(self) -> None:
        self._last, self._lock = time.monotonic(), threading.Lock()

    def lap(self) -> float:
        """Return the seconds since the last lap, or since the worker was ready."""
        with self._lock:
            before, self._last = self._last, time.monotonic()
            return self._last - before
