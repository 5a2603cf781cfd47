"""The tables of jobs/data_quality.py."""

from collections.abc import Mapping
from typing import Any

from jobs.benchmarks.report import table


def tables(figures: Mapping[str, Any]) -> str:
    """Return the figures as three tables: captions, variants, and classes before and after filters."""
    return "\n\n".join([_captions(figures["captions"]), _variants(figures), _classes(figures)])


def _captions(report: Mapping[str, Any]) -> str:
    per_class = report["classes"].values()
    return (
        f"captions: {report['captions']} of {report['asked']} asked, "
        f"{_percent(report['acceptance'])} % accepted; each class in {min(per_class)} to {max(per_class)}"
    )


def _variants(figures: Mapping[str, Any]) -> str:
    head = ["painted", "images", "all found", "others found", f"mAP of {figures['method']}", "difference"]
    drawn = figures["drawn"]
    rows = [["drawn scenes", str(drawn["images"]), _percent(drawn["all_found"]), _percent(drawn["foreign"])]]
    for each in figures["variants"]:
        rows.append(
            [
                each["variant"],
                str(each["images"]),
                _percent(each["all_found"]),
                _percent(each["foreign"]),
                _map(each["mAP"]),
                _difference(each["difference"]),
            ]
        )
    return table(head, [row + [""] * (len(head) - len(row)) for row in rows])


def _classes(figures: Mapping[str, Any]) -> str:
    """A row a class: the first variant, then each of its filters: images, found, all found."""
    first = figures["variants"][0]
    shown = [
        each
        for each in figures["variants"]
        if each is first or each["variant"].startswith(f"{first['variant']}/")
    ]
    head = ["class: images, found, all found", *(each["variant"] for each in shown)]
    rows = [[name, *(_class(each["classes"][name]) for each in shown)] for name in first["classes"]]
    return table(head, rows)


def _class(figures: Mapping[str, Any]) -> str:
    return f"{figures['images']:4d} {_percent(figures['found']):>5} {_percent(figures['all_found']):>5}"


def _map(figure: Mapping[str, Any]) -> str:
    return f"{figure['mean']:.2f}" + ("" if figure["std"] is None else f" ± {figure['std']:.2f}")


def _difference(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['difference']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
