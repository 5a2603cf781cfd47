"""How far a job is: a live line on a terminal, elsewhere a plain one every few seconds."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from jobs.console import fields, say, submitted
from t2ipal.watch import Progress, Watch, repeated, seldom

PLAIN_S = 10.0  # between plain lines
EVENT_S = 60.0  # between lines of a submitted job's log
LOOK_S = 0.2  # between looks at what is told, which may come a thousand times a second
SPEED_S = 120.0  # over which a rate is taken: shards of images come seldom


@contextmanager
def shown(stage: str, also: Watch) -> Iterator[Watch]:
    """Within, what the watch is told is shown, and told `also`."""
    live = sys.stdout.isatty() and not submitted()
    line = Line(stage, live)

    def watch(progress: Progress) -> None:
        line.update(progress)
        also(progress)

    if live:
        with line.bars:
            yield seldom(watch, LOOK_S)
    else:
        say(line.text())
        with repeated(lambda: say(line.text()), EVENT_S if submitted() else PLAIN_S):
            yield seldom(watch, LOOK_S)


class Line:
    """A stage's line; `bars` draws it on a terminal."""

    def __init__(self, stage: str, live: bool) -> None:
        self._stage = stage
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        console = Console() if live else Console(file=io.StringIO())
        self.bars = Bars(
            *columns,
            console=console,
            transient=True,
            redirect_stderr=False,  # it has a file of its own while a job runs
            auto_refresh=live,
            speed_estimate_period=SPEED_S,
        )
        self.bars.add_task(f"{stage:<10}starting", total=None)
        (self._task,) = self.bars.tasks
        self._last: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Take what the stage tells."""
        self._last = progress
        self.bars.update(self._task.id, completed=progress.done, total=progress.planned)
        self.bars.update(self._task.id, description=f"{self._stage:<10}{self._told(progress)}")

    def text(self) -> str:
        """Return the line without its drawing; as name=value in a log."""
        elapsed = round(self._task.elapsed or 0.0)
        if not submitted():
            return f"{self._task.description}, {timedelta(seconds=elapsed)}"
        told = self._last
        about = {} if told is None else {"done": told.done, "planned": told.planned, "unit": told.unit}
        rate = {"per_s": f"{self._task.speed:.3g}"} if self._task.speed else {}
        counts = {} if told is None else told.counts
        return fields({"progress": self._stage, "seconds": elapsed, **about, **rate, **counts})

    def _told(self, progress: Progress) -> str:
        """Return how many are done, how fast, how long it will take, and what became of them."""
        parts = [f"{progress.done} of {progress.planned} {progress.unit}"]
        if self._task.speed:
            parts.append(f"{self._task.speed:.3g}/s")
        if self._task.time_remaining:
            parts.append(f"{timedelta(seconds=round(self._task.time_remaining))} left")
        parts += [f"{name} {count}" for name, count in progress.counts.items()]
        return ", ".join(parts)
