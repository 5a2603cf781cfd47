"""HTML from what is on a page: one file, with its style, charts and pictures within."""

from collections.abc import Iterable, Sequence

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from t2ipal.report import charts
from t2ipal.report.comparison import Comparison
from t2ipal.report.content import ClassQuality, Content, Quality

MOST_BARS = 120  # classes in the table of average precision
MOST_CLASSES = 60  # with charts of their own


def run_page(content: Content) -> bytes:
    """Return the page of a run."""
    return _render("run.html", run=content)


def comparison_page(comparison: Comparison) -> bytes:
    """Return the page of two runs side by side."""
    return _render("comparison.html", both=comparison)


def by_precision(quality: Quality, most: int) -> Sequence[ClassQuality]:
    """Return the classes, the best recognised first; of too many as many of the best as of the worst, and
    those that no image holds last.
    """

    def precision(each: ClassQuality) -> float:
        value = quality.tuned.per_class[each.name]
        return -1.0 if value is None else value

    found = sorted(quality.classes, key=precision, reverse=True)
    return found if len(found) <= most else [*found[: most // 2], *found[-(most // 2) :]]


def _render(template: str, **what: Content | Comparison) -> bytes:
    environment = Environment(
        loader=PackageLoader("t2ipal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"yaml": _yaml, "duration": duration, "listed": _listed}
    environment.globals |= {
        "charts": charts,
        "by_precision": by_precision,
        "MOST_BARS": MOST_BARS,
        "MOST_CLASSES": MOST_CLASSES,
    }
    return environment.get_template(template).render(**what).encode()


def duration(seconds: float) -> str:
    """Seconds as a person would say them: 42 s, 3 min 5 s, 2 h 7 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, left = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _yaml(settings: object) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=88)
