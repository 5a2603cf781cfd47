"""A plan for people: a line for each stage, and below it what is not known."""

from collections.abc import Sequence

from jobs.benchmarks.report import table
from jobs.planning.estimate import AHEAD, BESIDE, COMPLETE, TOOK, Line

UNKNOWN, NONE = "?", "-"
HEAD = ("stage", "", "rows", "shards", "workers", "worker-hours", "GPU-hours", "wall time", "dollars")


def plan_table(lines: Sequence[Line]) -> str:
    """Return the table with a last line for all of it, and the notes."""
    rows = [_row(line) for line in lines]
    notes = _notes(lines)
    return "\n".join([table(HEAD, [*rows, _total(lines)]), *notes])


def _row(line: Line) -> list[str]:
    dollars = _number(line.dollars, "{:.2f}")
    if line.state in (COMPLETE, BESIDE):
        return [line.stage, line.state, *[NONE] * (len(HEAD) - 3), dollars if line.state == BESIDE else NONE]
    return [
        line.stage,
        line.state,
        _count(line.rows),
        _count(line.shards),
        _count(line.workers),
        _number(line.worker_hours, "{:.3f}"),
        NONE if not line.gpus else _number(line.gpu_hours, "{:.3f}"),
        duration(line.seconds),
        dollars,
    ]


def _total(lines: Sequence[Line]) -> list[str]:
    """Return sums; where a part is not known, "at least" what is."""
    at_work = [line for line in lines if line.state in (AHEAD, TOOK)]
    with_gpus = [line for line in at_work if line.gpus]
    return [
        "all",
        "",
        "",
        "",
        "",
        _sum([line.worker_hours for line in at_work], "{:.3f}"),
        _sum([line.gpu_hours for line in with_gpus], "{:.3f}") if with_gpus else NONE,
        _sum_of_times([line.seconds for line in at_work]),
        _sum([line.dollars for line in lines if line.state != COMPLETE], "{:.2f}"),
    ]


def _sum(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return UNKNOWN if values else NONE
    return f"{'' if len(known) == len(values) else '> '}{form.format(sum(known))}"


def _sum_of_times(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return UNKNOWN if values else NONE
    return f"{'' if len(known) == len(values) else '> '}{duration(sum(known))}"


def _notes(lines: Sequence[Line]) -> list[str]:
    """Return each note once, with the stages that it is about."""
    about: dict[str, list[str]] = {}
    for line in lines:
        for note in line.notes:
            about.setdefault(note, []).append(line.stage)
    return [f"  {', '.join(dict.fromkeys(stages))}: {note}" for note, stages in about.items()]


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value}"


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else form.format(value)


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
