"""The charts of the page. Lines and shapes are "tuned" or "base" (what it is compared with)."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from t2ipal.evaluation.curves import Bin, Curve, Histogram
from t2ipal.report.content import ClassQuality
from t2ipal.report.svg import Axis, Plot, shares

LARGE, SMALL = (350, 250), (170, 120)  # pixels
_DIAGONAL = ((0.0, 0.0), (1.0, 1.0))


def precision_recall(alt: str, tuned: Curve | None, base: Curve | None) -> Markup:
    """Precision over recall of all pairs of images and classes."""
    plot = Plot(alt, LARGE, shares("recall"), shares("precision"))
    _curves(plot, tuned, base)
    return plot.markup()


def class_curves(quality: ClassQuality) -> Markup:
    """Precision over recall of one class, and the point that its threshold chooses."""
    plot = Plot(
        f"Precision over recall of {quality.name}: at its threshold precision {quality.precision:.0f} and "
        f"recall {quality.recall:.0f} of 100",
        SMALL,
        shares(""),
        shares(""),
    )
    _curves(plot, quality.curve, quality.baseline)
    plot.dots([(quality.recall / 100, quality.precision / 100)], "chosen", 3.5)
    return plot.markup()


def class_scores(quality: ClassQuality) -> Markup:
    """How the scores of a class are spread over images with it and without it."""
    scores = quality.scores
    top = max(*scores.held, *scores.free) or 1.0
    x = Axis.over(scores.edges[0], scores.edges[-1], "", 3)
    plot = Plot(
        f"Scores of {quality.name}: test images with it and without it, and the threshold at "
        f"{quality.threshold:.2f}",
        SMALL,
        x,
        Axis(0.0, 1.05 * top),
    )
    plot.steps(scores.edges, scores.free, "base area")
    plot.steps(scores.edges, scores.held, "tuned area")
    plot.upright(quality.threshold, "threshold")
    return plot.markup()


def reliability(alt: str, tuned: Sequence[Bin], base: Sequence[Bin] = ()) -> Markup:
    """True over stated probability."""
    plot = Plot(alt, LARGE, shares("stated probability"), shares("share that is there"))
    plot.line(_DIAGONAL, "ideal")
    for bins, kind in ((base, "base"), (tuned, "tuned")):
        points = [(each.stated, each.true) for each in bins]
        plot.line(points, f"{kind} line")
        plot.dots(points, f"{kind} dot")
    return plot.markup()


def probabilities(alt: str, spread: Histogram) -> Markup:
    """How often which probability is stated, of what is there and of what is not."""
    top = max(*spread.held, *spread.free)
    y = Axis.over(0.0, 1.05 * top, "share of pairs")
    plot = Plot(alt, LARGE, shares("stated probability"), y)
    plot.steps(spread.edges, spread.free, "base area")
    plot.steps(spread.edges, spread.held, "tuned area")
    return plot.markup()


def losses(alt: str, tuned: Mapping[str, Sequence[float]], base: Mapping[str, Sequence[float]]) -> Markup:
    """The loss of each epoch, of one phase after the other."""
    own, other = ([value for phase in each.values() for value in phase] for each in (tuned, base))
    every = own + other
    low, high = min(every), max(every)
    room = 0.06 * (high - low)
    epochs = Axis.over(1.0, max(len(own), len(other), 2), "epoch", 5)
    plot = Plot(alt, LARGE, epochs, Axis.over(low - room, high + room, "loss"))
    for phases, kind in ((base, "base"), (tuned, "tuned")):
        at = 1
        for values in phases.values():
            points = [(float(at + i), value) for i, value in enumerate(values)]
            plot.line(points, f"{kind} line")
            if len(points) == 1:
                plot.dots(points, f"{kind} dot")
            at += len(values)
    return plot.markup()


def _curves(plot: Plot, tuned: Curve | None, base: Curve | None) -> None:
    for curve, kind in ((base, "base line"), (tuned, "tuned line")):
        if curve is not None:
            plot.line(zip(curve.x, curve.y, strict=True), kind)
