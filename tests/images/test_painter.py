import numpy as np
import pytest

from t2ipal.images.painter import Painter
from tests.tiny_models import save_painter

CAPTIONS = ["a red fish", "two houses", "a red fish", "a tree and a cat", "the moon"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painter")
    save_painter(folder)
    return str(folder)


def paint(model, captions=CAPTIONS, seeds=range(5), **settings):
    painter = Painter(model, **{"steps": 2, "guidance": 4.0, "size": 32, "batch": 5, **settings})
    return [np.asarray(painting.image, int) for painting in painter.paint(captions, list(seeds))]


def test_one_image_for_each_caption_in_order(model):
    images = paint(model)
    assert [image.shape for image in images] == [(32, 32, 3)] * 5
    assert np.array_equal(images[3], paint(model, CAPTIONS[3:4], [3], batch=1)[0])


def test_an_image_depends_on_its_caption_and_its_seed(model):
    first, _, third, *_ = paint(model)
    assert not np.array_equal(first, third)  # the same caption, another seed
    other = paint(model, ["the moon"], [0])[0]
    assert not np.array_equal(first, other)  # the same seed, another caption


def test_the_same_call_gives_the_same_pixels(model):
    assert np.array_equal(paint(model), paint(model))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_an_image_does_not_depend_on_its_batch(model, batch):
    # Another batch size means other loops in the matrix products: a value on the edge of rounding may fall
    # either way.
    difference = np.abs(np.stack(paint(model, batch=batch)) - np.stack(paint(model)))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"scheduler": "DPMSolverMultistepScheduler"},
        {"guidance": 1.0},
        {"negative_prompt": "blurred"},
        {"dtype": "bfloat16"},
        {"steps": 3},
    ],
)
def test_every_setting_has_an_effect(model, settings):
    assert not np.array_equal(paint(model, **settings), paint(model))


def test_nothing_to_paint(model):
    assert paint(model, [], []) == []
