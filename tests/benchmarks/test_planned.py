import pytest

from jobs.benchmarks.planned import is_right, scaled
from t2ipal.errors import UserError
from tests.recipes import tiny_recipe


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
