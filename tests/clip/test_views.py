import numpy as np
import pytest
from PIL import Image

from t2ipal.clip.views import draw_view


def image_of(width, height):
    """Every pixel says where it is."""
    across = np.tile(np.arange(width, dtype=np.uint8), (height, 1))
    down = np.tile(np.arange(height, dtype=np.uint8)[:, None], (1, width))
    return Image.merge(
        "RGB", [Image.fromarray(across), Image.fromarray(down), Image.new("L", (width, height))]
    )


def columns_and_rows(view):
    pixels = np.asarray(view)
    assert (pixels == pixels[:1, :, :] * [1, 0, 1] + pixels[:, :1, :] * [0, 1, 0]).all()
    return pixels[0, :, 0].astype(int), pixels[:, 0, 1].astype(int)


@pytest.mark.parametrize(("width", "height"), [(60, 40), (40, 60), (200, 50), (64, 64)])
@pytest.mark.parametrize("least", [0.3, 0.8])
def test_a_view_is_a_crop_of_at_least_the_area_mirrored_or_not(width, height, least):
    image, steps, areas, shapes, corners = image_of(width, height), set(), [], [], set()
    for number in range(60):
        across, down = columns_and_rows(draw_view(image, f"c0-0@{number}", least, seed=0))
        steps |= {*np.diff(across)}
        assert set(np.diff(down)) == {1}
        areas.append(len(across) * len(down) / (width * height))
        shapes.append(len(across) / len(down) / (width / height))
        corners.add((min(across), min(down)))
    assert steps == {-1, 1}  # each pixel's neighbours are its neighbours, on one side or the other
    assert least <= min(areas) < least + 0.1
    assert 0.9 < max(areas) <= 1
    assert 0.7 < min(shapes) < 0.95
    assert 1.05 < max(shapes) < 1.4
    assert len(corners) > 15


def test_a_whole_image_is_a_view_too():
    assert draw_view(image_of(9, 7), "c0-0@1", 1.0, 0).size == (9, 7)
    assert draw_view(image_of(1, 1), "c0-0@1", 0.1, 0).size == (1, 1)


def test_a_view_follows_from_its_id_and_the_seed_alone():
    def pixels(name, seed):
        return draw_view(image_of(60, 40), name, 0.4, seed).tobytes()

    assert pixels("c0-0@1", 0) == pixels("c0-0@1", 0)
    assert len({pixels("c0-0@1", 0), pixels("c0-0@2", 0), pixels("c0-1@1", 0), pixels("c0-0@1", 1)}) == 4
