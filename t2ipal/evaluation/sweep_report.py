"""The content of sweep.json (t2ipal.stages.sweep) as lines of text, as CSV, and as a picture."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from t2ipal.evaluation.report import columns

Sweep = Mapping[str, Any]

FIGURES = ("CF1", "OF1", "ECE")  # beside the mAP


def table(sweep: Sweep) -> str:
    """A line for each combination of settings, with the mean of its seeds; the best one is marked."""
    keys = _keys(sweep)
    rows = [(*map(_last, keys), "mAP", "", *FIGURES, "")]
    for point in sweep["points"]:
        figure = point["mAP"]
        deviation = "" if figure["std"] is None else f"± {figure['std']:.2f}"
        others = [_number(point.get(name)) for name in FIGURES]
        mark = "best" if point["settings"] == sweep["best"] else ""
        values = (_text(point["settings"][key]) for key in keys)
        rows.append((*values, f"{figure['mean']:.2f}", deviation, *others, mark))
    return "\n".join(columns(rows))


def csv_text(sweep: Sweep) -> str:
    """A line for each combination of settings and seed."""
    keys, text = _keys(sweep), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, "seed", "mAP"])
    for point in sweep["points"]:
        values = [_text(point["settings"][key]) for key in keys]
        for seed, value in zip(point["seeds"], point["mAP"]["seeds"], strict=True):
            writer.writerow([*values, seed, value])
    return text.getvalue()


def plot(sweep: Sweep) -> bytes:
    """A PNG: mAP over the first key that has several values, a line for each combination of the others, with
    a bar of one standard deviation over seeds.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    key = _abscissa(sweep)
    ticks = list(dict.fromkeys(_text(point["settings"].get(key)) for point in sweep["points"]))
    numeric = all(_is_number(point["settings"].get(key)) for point in sweep["points"])
    for name, points in _lines(sweep, key).items():
        values = [point["settings"].get(key) for point in points]
        x = values if numeric else [ticks.index(_text(value)) for value in values]
        y = [point["mAP"]["mean"] for point in points]
        error = [point["mAP"]["std"] or 0.0 for point in points]
        axes.errorbar(x, y, error, marker="o", capsize=3, label=name or None)
    if not numeric:
        axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlabel(key or "")
    axes.set_ylabel(f"mAP on {sweep['split']} ({sweep['images']} images)")
    axes.grid(alpha=0.3)
    if len(_keys(sweep)) > 1:
        axes.legend(fontsize="small")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()


def _keys(sweep: Sweep) -> list[str]:
    return list(sweep["points"][0]["settings"])


def _abscissa(sweep: Sweep) -> str | None:
    """The key along the picture; None where only seeds differ."""
    keys = _keys(sweep)
    several = [key for key in keys if len({_text(p["settings"][key]) for p in sweep["points"]}) > 1]
    return next(iter([*several, *keys]), None)


def _lines(sweep: Sweep, key: str | None) -> dict[str, list[Any]]:
    """Points by what else is set in them; those of a line in increasing order where they have one."""
    lines: dict[str, list[Any]] = {}
    for point in sweep["points"]:
        others = {each: value for each, value in point["settings"].items() if each != key}
        name = ", ".join(f"{_last(each)} {_text(value)}" for each, value in others.items())
        lines.setdefault(name, []).append(point)
    for points in lines.values():
        if all(_is_number(point["settings"].get(key)) for point in points):
            points.sort(key=lambda point: point["settings"][key])
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _last(key: str) -> str:
    """A key without its first part, which all of them share or which says little."""
    return key.partition(".")[2]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value > 1 else f"{value:.4f}"


def _text(value: Any) -> str:
    """A value as a recipe has it."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
