"""Figures of an evaluation as JSON and as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2ipal.evaluation.metrics import Labels, Scores, average_precision, mean_average_precision


def measure(
    scores: Scores, parts: Mapping[str, Scores], labels: Labels, classes: Sequence[str]
) -> dict[str, Any]:
    """Figures of one method, in points: mAP as mean and per class (null without a positive), and of each
    part alone.
    """
    per_class = 100 * average_precision(scores, labels)
    return {
        "mAP": {
            "mean": round(float(np.nanmean(per_class)), 3),
            "per_class": {
                name: None if np.isnan(value) else round(float(value), 3)
                for name, value in zip(classes, per_class, strict=True)
            },
        },
        "parts": {name: round(mean_average_precision(part, labels), 3) for name, part in parts.items()},
    }


def table(metrics: Mapping[str, Any]) -> str:
    """The content of metrics.json as lines of text."""
    methods = metrics["methods"]
    width = max(len(name) for name in ["method", *methods])
    rows = [f"{'method':<{width}}  {'mAP':>6}  parts"]
    for name, figures in methods.items():
        parts = ", ".join(f"{part} {value:.1f}" for part, value in figures["parts"].items())
        rows.append(f"{name:<{width}}  {figures['mAP']['mean']:6.2f}  {parts}")
    return "\n".join(rows)
