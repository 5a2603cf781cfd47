import re
from xml.etree import ElementTree as ET

import pytest

from t2ipal.evaluation.curves import Bin, Curve, Histogram
from t2ipal.report import charts
from t2ipal.report.content import ClassQuality
from t2ipal.report.svg import Axis, Plot, shares


def drawn(markup, kind):
    """The elements of a class."""
    return [each for each in ET.fromstring(markup).iter() if kind in each.get("class", "").split()]


def points(element):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", element.get("d"))]


def quality(**changes):
    given = {
        "name": "fish & chips",
        "images": 4,
        "precision": 50.0,
        "recall": 100.0,
        "curve": Curve((0.5, 1.0), (1.0, 0.5)),
        "baseline": None,
        "scores": Histogram((0.0, 1.0, 2.0), (0.25, 0.75), (1.0, 0.0)),
        "threshold": 1.0,
    }
    return ClassQuality(**given | changes)


def test_a_line_goes_where_its_points_are():
    plot = Plot("a line", (100, 100), Axis(0, 10), Axis(0, 10))
    plot.line([(0, 0), (10, 10), (5, 10)], "tuned line")
    (line,) = drawn(plot.markup(), "line")
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x0 < x2 < x1
    assert x2 == pytest.approx((x0 + x1) / 2, abs=0.1)
    assert y0 > y1 == y2  # up is less
    assert 0 <= min(x0, y1) < max(x1, y0) <= 100


def test_ticks_are_round_and_within():
    axis = Axis.over(0.3, 29.4, "loss")
    assert axis.ticks == (8.0, 16.0, 24.0)
    assert axis.digits == 0
    assert Axis.over(0.0, 0.09, "").digits == 3  # 0.025, 0.050
    flat = Axis.over(2.0, 2.0, "loss")
    assert flat.low < 2.0 < flat.high


def test_words_within_a_chart_are_text():
    markup = charts.class_curves(quality())
    assert "fish &amp; chips" in markup
    assert ET.fromstring(markup).get("aria-label").startswith("Precision over recall of fish & chips")


def test_a_class_has_its_curve_its_point_and_its_threshold():
    markup = charts.class_curves(quality())
    (line,), (dot,) = drawn(markup, "tuned"), drawn(markup, "chosen")
    last = points(line)[-1]
    assert (float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx(last)
    histogram = charts.class_scores(quality())
    (threshold,) = drawn(histogram, "threshold")
    (held,) = drawn(histogram, "tuned")
    xs = [x for x, _ in points(held)]
    assert float(threshold.get("x1")) == pytest.approx((min(xs) + max(xs)) / 2, abs=0.1)


def test_a_class_that_no_image_holds_has_no_curve():
    nothing = quality(curve=None, scores=Histogram((0.0, 1.0), (0.0,), (0.0,)), threshold=0.5)
    assert drawn(charts.class_curves(nothing), "line") == []
    assert drawn(charts.class_scores(nothing), "area")


def test_reliability_and_losses_of_two():
    bins = (Bin(0.1, 0.0, 5), Bin(0.9, 1.0, 5))
    both = charts.reliability("both", bins, bins[:1])
    assert len(drawn(both, "dot")) == 3
    assert len(drawn(both, "ideal")) == 1
    loss = charts.losses("loss", {"pretrain": (9.0, 8.0), "tune": (3.0, 2.0, 1.0)}, {"tune": (4.0,)})
    own = [each for each in drawn(loss, "tuned") if each.tag == "path"]
    assert [len(points(each)) for each in own] == [2, 3]
    assert points(own[0])[-1][0] < points(own[1])[0][0]  # one phase after the other
    assert len(drawn(loss, "dot")) == 1  # a line of one point would not be seen


def test_a_loss_that_does_not_change_is_drawn():
    assert drawn(charts.losses("loss", {"tune": (2.0, 2.0)}, {}), "line")
    assert shares("").ticks == (0.0, 0.5, 1.0)
