import numpy as np
import pytest
import torch
from PIL import Image

from t2ipal.clip.preprocess import Preprocess, to_image

CONFIG = {"size": 4, "mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bicubic", "fill_color": 0}


def test_pixels_are_resized_and_normalised():
    image = Image.fromarray(np.full((10, 20, 3), 255, dtype=np.uint8))
    batch = Preprocess({**CONFIG, "resize_mode": "squash"})([image, image])
    torch.testing.assert_close(batch, torch.full((2, 3, 4, 4), 2.0))


@pytest.mark.parametrize(
    ("mode", "visible"),
    [
        ("squash", (0.0, 0.0, 1.0, 1.0)),
        ("shortest", (0.25, 0.0, 0.75, 1.0)),
        ("longest", (0.0, -0.5, 1.0, 1.5)),
    ],
)
def test_the_visible_part_is_what_the_model_sees(mode, visible):
    preprocess = Preprocess({**CONFIG, "resize_mode": mode})
    assert preprocess.visible(200, 100) == pytest.approx(visible)
    # A white square in the middle of the visible part is in the middle of the input.
    pixels = np.zeros((100, 200, 3), dtype=np.uint8)
    pixels[:, 100:] = 255
    seen = preprocess([Image.fromarray(pixels)])[0, 0]
    assert seen[2, 0] < seen[2, 3]


def test_boxes_are_mapped_back_and_cut_at_the_border():
    assert to_image((0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 0.75, 1.0)) == pytest.approx((0.25, 0.0, 0.5, 1.0))
    assert to_image((0.0, 0.0, 1.0, 1.0), (0.0, -0.5, 1.0, 1.5)) == pytest.approx((0.0, 0.0, 1.0, 1.0))
