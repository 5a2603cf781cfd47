import os

import pytest

from jobs.example import example
from t2ipal.errors import UserError
from tests.finished_images import COLOURS, finished_images


def test_the_first_test_image_or_else_a_painted_one(tmp_path):
    recipe, store = finished_images(tmp_path)
    shown = example(recipe, store)
    assert (shown.name, shown.labels) == ("0.png", ())
    without = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"dataset": None})})
    painted = example(without, store)
    assert painted.name == "c00000000-0"
    for label in painted.labels:
        assert painted.image.getpixel((10 * label + 5, 16)) == COLOURS[label]
    for path in (tmp_path / "run" / "images").glob("*.parquet"):
        os.remove(path)
    with pytest.raises(UserError, match="no image to ask"):
        example(without, store)
