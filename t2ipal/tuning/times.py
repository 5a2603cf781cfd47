"""Where the time of a tuning run goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Times:
    """Seconds of wall-clock time, by what they were spent on. A part within another counts as itself only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[float] = []  # of each part under way, the seconds that parts within it took

    @contextmanager
    def spent_on(self, part: str) -> Iterator[None]:
        """Count what happens within; further times with the same name add up."""
        start = time.monotonic()
        self._open.append(0.0)
        try:
            yield
        finally:
            whole, within = time.monotonic() - start, self._open.pop()
            self.seconds[part] = self.seconds.get(part, 0.0) + whole - within
            if self._open:
                self._open[-1] += whole


class EpochTimes:
    """Seconds of the epochs of each phase, without what comes between them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.epochs: dict[str, int] = {}
        self._since = time.monotonic()

    @contextmanager
    def between(self, phase: str) -> Iterator[None]:
        """An epoch of the phase has ended, and the next one begins after what happens within."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - self._since
        self.epochs[phase] = self.epochs.get(phase, 0) + 1
        try:
            yield
        finally:
            self._since = time.monotonic()
