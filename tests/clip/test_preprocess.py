import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
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


def gradient(width, height):
    """A picture that is smooth, so that interpolation at shifted places shows little."""
    across, down = np.linspace(0, 3, width), np.linspace(0, 2, height)
    waves = np.sin(across)[None, :, None] + np.cos(down)[:, None, None] + np.array([0.0, 0.3, 0.6])
    return Image.fromarray((60 * (waves + 1)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
@pytest.mark.parametrize("size", [(640, 480), (333, 500), (200, 100), (32, 32)])
def test_normal_images_become_what_open_clip_makes_of_them(mode, size):
    config = CONFIG | {"size": 64, "resize_mode": mode}
    theirs = image_transform_v2(PreprocessCfg(**config), is_train=False)(gradient(*size))
    assert torch.equal(Preprocess(config)([gradient(*size)])[0], theirs)


@pytest.mark.parametrize("size", [(1201, 300), (300, 1201), (901, 100), (5000, 200)])
def test_long_images_are_cut_to_their_middle_and_stay_the_same(size):
    config = CONFIG | {"size": 64, "resize_mode": "shortest"}
    theirs = image_transform_v2(PreprocessCfg(**config), is_train=False)(gradient(*size))
    ours = Preprocess(config)([gradient(*size)])[0]
    assert (ours - theirs).abs().max() < 4 * 4 / 255  # in units of the normalised pixels


@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000)])
def test_a_line_of_pixels_does_not_grow(mode, size, monkeypatch):
    made, resize = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, size, *rest: made.append(size) or resize(image, size, *rest)
    )
    batch = Preprocess(CONFIG | {"size": 64, "resize_mode": mode})([Image.new("RGB", size, "white")])
    assert batch.shape == (1, 3, 64, 64)
    assert batch.max() == 2
    assert max(width * height for width, height in made) <= 2 * 64 * 64


def test_boxes_are_mapped_back_and_cut_at_the_border():
    assert to_image((0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 0.75, 1.0)) == pytest.approx((0.25, 0.0, 0.5, 1.0))
    assert to_image((0.0, 0.0, 1.0, 1.0), (0.0, -0.5, 1.0, 1.5)) == pytest.approx((0.0, 0.0, 1.0, 1.0))
