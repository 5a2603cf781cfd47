import numpy as np
from PIL import Image

from t2ipal.images.sheet import contact_sheet


def test_images_lie_in_rows_above_their_captions():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = [Image.new("RGB", (4, 4), colour) for colour in colours]
    sheet = np.asarray(contact_sheet(images, ["one", "two", "three"], across=2, side=16))
    places = {colour: np.argwhere((sheet == colour).all(axis=2)) for colour in colours}
    assert [len(each) for each in places.values()] == [16 * 16] * 3
    red, green, blue = (each.min(axis=0) for each in places.values())
    assert red[0] == green[0] < blue[0]
    assert red[1] == blue[1] < green[1]
    below = sheet[red[0] + 16 : blue[0], red[1] : green[1]]
    assert (below < 128).any()  # a caption


def test_other_shapes_keep_their_sides():
    sheet = np.asarray(contact_sheet([Image.new("L", (64, 32))], [""], across=1, side=16))
    dark = np.argwhere((sheet == 0).all(axis=2))
    assert tuple(np.ptp(dark, axis=0) + 1) == (8, 16)


def test_a_long_caption_is_cut():
    short, long = (contact_sheet([Image.new("RGB", (8, 8))], ["word " * n], across=1) for n in (3, 300))
    assert short.size == long.size
