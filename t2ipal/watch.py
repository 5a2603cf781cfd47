"""How far a stage is, told while it works."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """What a stage has done, of what it has to do in this run of it."""

    done: int
    planned: int
    unit: str
    """What is counted, such as "images"."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What became of them, such as "rejected"; all of them since the stage began."""


Watch = Callable[[Progress], None]
"""Called in the driver's process, from one thread at a time."""


def unwatched(progress: Progress) -> None:
    """Where nobody looks."""


def seldom(watch: Watch, every_s: float) -> Watch:
    """Return a watch that hands on what is told so often at most, and always that all is done."""
    last = float("-inf")

    def told(progress: Progress) -> None:
        nonlocal last
        if progress.done >= progress.planned or monotonic() - last >= every_s:
            last = monotonic()
            watch(progress)

    return told


def watched(items: Iterable[Item], planned: int, unit: str, watch: Watch) -> Iterator[Item]:
    """Yield the items, each counted as one that is done."""
    for done, item in enumerate(items, 1):
        yield item
        watch(Progress(done, planned, unit))


@contextmanager
def repeated(act: Callable[[], None], every_s: float) -> Iterator[None]:
    """Within, act every so many seconds, on a thread of its own."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every_s):
            act()

    acting = threading.Thread(target=repeat, name="watch", daemon=True)
    acting.start()
    try:
        yield
    finally:
        over.set()
        acting.join()
