import pytest

from jobs.benchmarks.planned import STAGES, benchmark, is_right, scaled
from t2ipal.errors import UserError
from t2ipal.recipe import load_recipe
from tests.recipes import tiny_recipe
from tests.test_pipeline import small_recipe


def test_a_recipe_is_scaled():
    half = scaled(tiny_recipe(captions={"count": 12}, images={"captions": 9}), 0.5)
    assert (half.captions.count, half.images.captions) == (6, 4)
    assert scaled(tiny_recipe(), 2).images.captions is None
    with pytest.raises(UserError, match="from a file"):
        scaled(tiny_recipe(captions=None, annotated_captions={"path": "x.txt"}), 2)


def test_when_a_plan_is_right():
    assert is_right(76.0, 100.0)
    assert not is_right(74.0, 100.0)
    assert not is_right(126.0, 100.0)
    assert is_right(0.2, 0.9)  # a second is noise
    assert not is_right(None, 0.9)


@pytest.mark.slow
@pytest.mark.whole_job
@pytest.mark.timeout(1800)
def test_a_plan_is_held_against_a_run(tmp_path):
    recipe = load_recipe(small_recipe(tmp_path))
    report = benchmark(recipe, sizes=(1.0, 2.0), folder=str(tmp_path / "runs"))
    assert list(report.figures) == ["start", *STAGES]
    for stage, figures in report.figures.items():
        assert figures["planned_s"] >= figures["once_s"] > 0, stage
        assert figures["real_s"] > 0
    # Other tests run beside this one: what it shows is that nothing is forgotten or counted twice.
    planned = sum(figures["planned_s"] for figures in report.figures.values())
    real = sum(figures["real_s"] for figures in report.figures.values())
    assert real / 2 < planned < 2 * real
