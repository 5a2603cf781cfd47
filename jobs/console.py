"""What a job prints."""

from collections.abc import Mapping
from typing import Any

from t2ipal.stages.report import StageReport


def say(text: str) -> None:
    """Print a line at once, also where the output is a file or a pipe."""
    print(text, flush=True)


def stage_line(report: StageReport) -> str:
    """Return a line on a stage: its rows, its time and what else it has to tell; one more for a warning."""
    warning = f"\n  warning: {report.warning}" if report.warning else ""
    return _counts(report) + warning


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
