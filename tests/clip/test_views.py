import numpy as np
from PIL import Image

from t2ipal.clip.views import draw_view

# Every pixel says where it was.
IMAGE = Image.merge(
    "RGB",
    [
        Image.fromarray(np.tile(np.arange(60, dtype=np.uint8), (40, 1))),
        Image.fromarray(np.tile(np.arange(40, dtype=np.uint8)[:, None], (1, 60))),
        Image.new("L", (60, 40)),
    ],
)


def columns_and_rows(view):
    pixels = np.asarray(view)
    assert (pixels == pixels[:1, :, :] * [1, 0, 1] + pixels[:, :1, :] * [0, 1, 0]).all()
    return pixels[0, :, 0].astype(int), pixels[:, 0, 1].astype(int)


def test_a_view_is_a_crop_of_at_least_the_area_mirrored_or_not():
    steps, areas = set(), []
    for number in range(40):
        across, down = columns_and_rows(draw_view(IMAGE, f"c0-0@{number}", 0.4, seed=0))
        steps |= {*np.diff(across), *np.diff(down)}
        assert set(np.diff(down)) == {1}
        areas.append(len(across) * len(down) / (60 * 40))
        assert 0.7 < len(across) / len(down) < 1.45
    assert steps == {-1, 1}  # each pixel's neighbours are its neighbours, on one side or the other
    assert 0.37 < min(areas) < 0.6 < max(areas) <= 1


def test_a_view_follows_from_its_id_and_the_seed_alone():
    def pixels(name, seed):
        return draw_view(IMAGE, name, 0.4, seed).tobytes()

    assert pixels("c0-0@1", 0) == pixels("c0-0@1", 0)
    assert len({pixels("c0-0@1", 0), pixels("c0-0@2", 0), pixels("c0-1@1", 0), pixels("c0-0@1", 1)}) == 4
