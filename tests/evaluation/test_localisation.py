import numpy as np
import pytest

from t2ipal.evaluation.localisation import locate

WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_the_box_holds_the_connected_strong_patches():
    heat = np.array([[0.0, 0.8, 0.9], [0.0, 0.0, 0.7], [0.9, 0.0, 0.0]], dtype=np.float32)
    heat[0, 2] = 1.0
    where = locate(heat, WHOLE)
    assert where.peak == pytest.approx((5 / 6, 1 / 6))
    assert where.box == pytest.approx(
        (1 / 3, 0.0, 1.0, 2 / 3)
    )  # without the strong patch at the other corner


def test_places_are_given_in_the_whole_image():
    heat = np.zeros((2, 2), dtype=np.float32)
    heat[1, 0] = 1.0
    where = locate(heat, (0.25, 0.0, 0.75, 1.0))
    assert where.peak == pytest.approx((0.375, 0.75))
    assert where.box == pytest.approx((0.25, 0.5, 0.5, 1.0))


def test_an_even_heatmap_is_everywhere():
    assert locate(np.ones((3, 4), dtype=np.float32), WHOLE).box == pytest.approx(WHOLE)
