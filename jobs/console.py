"""What a job prints: text for a person who waits or, of a submitted job, a log with a line for each event."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from t2ipal.errors import UserError
from t2ipal.stages.report import StageReport


def say(text: str) -> None:
    """Print a line at once, also where the output is a file or a pipe."""
    print(_event("info", text) if submitted() else text, flush=True)


def tell(error: UserError) -> None:
    """Print what is wrong, and what to do about it, on the error stream."""
    text = _event("error", str(error)) if submitted() else f"error: {error}"
    print(text, file=sys.stderr, flush=True)


def submitted() -> bool:
    """Say whether this process is the command of a `ray job submit`, whose output is the job's log."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def _event(level: str, text: str) -> str:
    """Return a line of a log: the time in UTC, a level, and a text whose own lines are joined."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {level} {'; '.join(filter(None, lines))}"


def stage_line(report: StageReport) -> str:
    """Return a line on a stage: its rows, its time and what else it has to tell, as name=value in a log; one
    more for a warning.
    """
    warning = f"\n  warning: {report.warning}" if report.warning else ""
    return (_stage_fields(report) if submitted() else _counts(report)) + warning


def _counts(report: StageReport) -> str:
    if report.already_complete:
        anew = f"; made anew: {report.made_anew}" if report.made_anew else ""
        return f"{report.stage:<10}{report.rows:>8} rows   already complete{anew}"
    notes = "  ".join(f"{name} {_short(value)}" for name, value in report.notes.items())
    kept = (
        f"  {report.shards_done_before} of {report.shards_total} shards were there"
        if report.shards_done_before
        else ""
    )
    return f"{report.stage:<10}{report.rows:>8} rows {report.seconds:>7.1f} s  {notes}{kept}".rstrip()


def _stage_fields(report: StageReport) -> str:
    about: dict[str, float | int | str] = {
        "stage": report.stage,
        "rows": report.rows,
        "seconds": f"{report.seconds:.1f}",
        "shards": report.shards_total,
        "shards_done_before": report.shards_done_before,
        **report.notes,
        **({"made_anew": report.made_anew} if report.made_anew else {}),
    }
    return fields(about)


def fields(about: Mapping[str, float | int | str]) -> str:
    """Return name=value for each, as logs are searched by."""
    return " ".join(f"{name.replace(' ', '_')}={_quoted(_short(value))}" for name, value in about.items())


def _quoted(value: str) -> str:
    return value if value and " " not in value else f'"{value}"'


def quality_table(metrics: Mapping[str, Any]) -> str:
    """Return the table of evaluation/metrics.json: a line for each method."""
    head = f"mean average precision on {metrics['dataset']}, {metrics['split']} ({metrics['images']} images)"
    methods = metrics["methods"]
    width = max(map(len, methods))
    rows = (f"  {name:<{width}}  {figures['mAP']['mean']:5.2f}" for name, figures in methods.items())
    return "\n".join([head, *rows])


def answer_lines(image: str, truth: list[str], answer: Mapping[str, Any]) -> str:
    """Return the endpoint's answer for one image, and what the image really shows."""
    labels = ", ".join(f"{each['name']} ({each['score']:.2f})" for each in answer["labels"]) or "nothing"
    return f"{image} shows: {', '.join(truth) or 'nothing'}\n  the endpoint says: {labels}"


def _short(value: float | int | str) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
