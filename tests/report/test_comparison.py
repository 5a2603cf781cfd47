import pytest

from t2ipal.report.comparison import compare
from t2ipal.report.page import comparison_page
from t2ipal.run_files import METRICS
from tests.finished_images import NAMES
from tests.report.reading import read


def test_figures_of_both_and_their_difference(finished, other):
    found = read(comparison_page(compare(finished, other)))
    a, b = (run[1].read_json(METRICS)["methods"]["t2i_pal"] for run in (finished, other))
    assert found.number("a/mAP") == (a["mAP"]["mean"], f"{a['mAP']['mean']:.2f}")
    assert found.number("b/mAP") == (b["mAP"]["mean"], f"{b['mAP']['mean']:.2f}")
    assert found.number("difference/mAP")[0] == pytest.approx(b["mAP"]["mean"] - a["mAP"]["mean"])
    assert found.number("gain")[0] == pytest.approx(b["mAP"]["mean"] - a["mAP"]["mean"], abs=2e-3)
    assert found.number("gain/low")[0] <= found.number("gain")[0] <= found.number("gain/high")[0]
    for name in NAMES:
        for letter, figures in (("a", a), ("b", b)):
            value = figures["per_class"][name]
            assert found.number(f"{letter}/per_class/{name}") == (value, f"{value:.2f}")


def test_settings_that_differ_are_told(finished, other):
    comparison = compare(finished, other)
    (seed,) = (each for each in comparison.settings if each.key == "tune.seed")
    assert (seed.a, seed.b) == (None, 7)
    assert comparison.painted_alike
    assert "tune.seed" in read(comparison_page(comparison)).text


def test_a_run_beside_itself(finished):
    comparison = compare(finished, finished)
    assert comparison.gain == (0.0, 0.0, 0.0)
    assert comparison.settings == ()


def test_a_run_that_was_not_measured_and_one_that_was_stopped(finished, unmeasured, painted):
    for other in (unmeasured, painted):
        comparison = compare(finished, other)
        assert comparison.gain is None
        found = read(comparison_page(comparison))
        assert "no figures of quality can be compared" in found.words()
    assert "Run B is not finished" in found.words()


def test_runs_on_other_images_are_not_compared_point_by_point(finished, other):
    predictions = other[1].shards("evaluation/predictions")
    rows = predictions.read("t2i_pal")
    names = rows["image"].to_pylist()
    assert names[0] == "0.png"
    renamed = rows.set_column(0, rows.schema.field("image"), [["other.png", *names[1:]]])
    manifest = predictions.done()["t2i_pal"]
    predictions.write("t2i_pal", renamed, manifest.extra)
    try:
        comparison = compare(finished, other)
    finally:
        predictions.write("t2i_pal", rows, manifest.extra)
    assert comparison.gain is None
    assert "measured on other images or classes" in read(comparison_page(comparison)).words()
