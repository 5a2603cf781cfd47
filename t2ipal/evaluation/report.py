"""Figures of an evaluation as JSON and as a table for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2ipal.evaluation.bootstrap import LEVEL, ResampledMap, difference
from t2ipal.evaluation.calibration import Calibration, expected_calibration_error
from t2ipal.evaluation.decisions import precision_recall_f1, top
from t2ipal.evaluation.metrics import Labels, Scores, average_precision, mean_average_precision

WORST, BEST = "zero_shot", "supervised"  # the ends of the gap that a method closes


def measure(
    scores: Scores,
    parts: Mapping[str, Scores],
    labels: Labels,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    calibration: Calibration | None = None,
    ignored: Labels | None = None,
) -> dict[str, Any]:
    """Figures of one seed of a method, of `scores` and `labels` [N, C], in points.

    "mAP"                      mean over the classes that occur
    "per_class"                its average precision by class, null without a positive
    "parts"                    mAP of each part of the answer alone
    "CP" to "OF1"              of the answers above `thresholds` [C]
    "top3"                     the same figures of the three highest scores of each image
    "ECE"                      of the calibrated scores, 0 to 1; only with a calibration
    "mAP_without_difficult"    with `ignored` [N, C] pairs left out; only where there are any

    Choose thresholds and calibration on held-out synthetic images, never with these labels.
    """
    per_class = 100 * average_precision(scores, labels)
    figures: dict[str, Any] = {
        "mAP": float(np.nanmean(per_class)),
        "per_class": {
            name: None if np.isnan(value) else value
            for name, value in zip(classes, per_class.tolist(), strict=True)
        },
        "parts": {name: mean_average_precision(part, labels) for name, part in parts.items()},
        **precision_recall_f1(scores > thresholds, labels),
        "top3": precision_recall_f1(top(scores, 3), labels),
    }
    if calibration is not None:
        figures["ECE"] = expected_calibration_error(calibration.probabilities(scores), labels)
    if ignored is not None and ignored.any():
        figures["mAP_without_difficult"] = mean_average_precision(scores, labels, ignored)
    return figures


def summarise(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One method's entry in metrics.json: what `measure` gave for each of its seeds, as means over them.

    "mAP" has the mean, the sample standard deviation (null for one seed) and the seeds' own values. Points
    have 3 digits, the ECE has 5.
    """
    values = [float(seed["mAP"]) for seed in seeds]
    deviation = round(float(np.std(values, ddof=1)), 3) if len(values) > 1 else None
    rest = {name: _mean([seed[name] for seed in seeds], name) for name in seeds[0] if name != "mAP"}
    mean = round(float(np.mean(values)), 3)
    return {"mAP": {"mean": mean, "std": deviation, "seeds": [round(each, 3) for each in values]}, **rest}


def _mean(values: Sequence[Any], name: str) -> Any:
    if isinstance(values[0], Mapping):
        return {key: _mean([each[key] for each in values], key) for key in values[0]}
    if None in values:
        return None
    return round(float(np.mean(values)), 5 if name == "ECE" else 3)


def differences(
    methods: Mapping[str, ResampledMap], pairs: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """The entry "differences" of metrics.json, in points, for pairs (ours, theirs) of `methods`."""
    rows = []
    for ours, theirs in pairs:
        found = difference(methods[ours], methods[theirs])._asdict()
        rows.append(
            {"ours": ours, "theirs": theirs, **{name: round(value, 3) for name, value in found.items()}}
        )
    return rows


def table(metrics: Mapping[str, Any]) -> str:
    """The content of metrics.json as lines of text."""
    methods = metrics["methods"]
    rows = [("method", "mAP", "gap closed", "CF1", "OF1", "ECE")]
    for name, figures in methods.items():
        rows.append((name, _map(figures["mAP"]), _gap_closed(methods, name), *_decisions(figures)))
    lines = columns(rows)
    if metrics.get("differences"):
        lines += ["", *_difference_lines(metrics["differences"])]
    return "\n".join(lines)


def _map(figure: Mapping[str, Any]) -> str:
    deviation = figure["std"]
    return f"{figure['mean']:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def _gap_closed(methods: Mapping[str, Any], name: str) -> str:
    """What share of the way from zero-shot to supervised the method goes; blank without both ends."""
    if WORST not in methods or BEST not in methods:
        return ""
    low, high, value = (methods[each]["mAP"]["mean"] for each in (WORST, BEST, name))
    return f"{100 * (value - low) / (high - low):.1f} %" if high != low else ""


def _decisions(figures: Mapping[str, Any]) -> tuple[str, str, str]:
    error = figures.get("ECE")
    return f"{figures['CF1']:.2f}", f"{figures['OF1']:.2f}", "" if error is None else f"{error:.4f}"


def _difference_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [("difference", "mAP", f"{100 * LEVEL:.0f} % interval", "")]
    for each in found:
        low, high = each["low"], each["high"]
        mark = "*" if low > 0 or high < 0 else ""
        pair = f"{each['ours']} - {each['theirs']}"
        rows.append((pair, f"{each['difference']:+.2f}", f"{low:+.2f} to {high:+.2f}", mark))
    return [*columns(rows), "* the interval excludes zero; it covers the choice of test images alone"]


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of text with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{'>' if at else '<'}{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
