import io

import numpy as np
import pytest
from PIL import Image

from t2ipal.images.overlay import LONGEST, overlay

HEAT = np.array([[0.1, 0.1], [0.1, 0.9]], dtype=np.float32)


def opacity(size, visible=(0.0, 0.0, 1.0, 1.0), heat=HEAT):
    picture = Image.open(io.BytesIO(overlay(heat, visible, size)))
    assert picture.mode == "RGBA"
    return np.asarray(picture)[:, :, 3]


def test_the_best_part_glows():
    alpha = opacity((40, 20))
    assert alpha.shape == (20, 40)
    assert alpha[18, 38] > 130
    assert alpha[2, 2] == 0


def test_only_the_part_that_was_looked_at_glows():
    alpha = opacity((80, 20), (0.375, 0.0, 0.625, 1.0))  # the middle
    assert not alpha[:, :30].any()
    assert not alpha[:, 50:].any()
    assert alpha[18, 48] > 130


def test_what_lies_beyond_the_borders_is_not_shown():
    alpha = opacity((40, 20), (0.0, -0.5, 1.0, 1.5))
    assert alpha.shape == (20, 40)
    assert alpha[19, 39] > alpha[10, 39]


@pytest.mark.parametrize("size", [(5000, 100), (1, 3000), (1, 1)])
def test_a_large_image_gets_a_small_picture(size):
    alpha = opacity(size)
    assert max(alpha.shape) <= LONGEST
    assert min(alpha.shape) >= 1


def test_no_part_is_better_than_another():
    assert not opacity((8, 8), heat=np.full((2, 2), 0.5, dtype=np.float32)).any()
