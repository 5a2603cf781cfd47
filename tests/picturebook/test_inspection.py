import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import nn

from t2ipal.images.codec import encode
from t2ipal.picturebook.classes import NAMES
from t2ipal.picturebook.inspection import inspect, inspect_table
from t2ipal.store import Store
from t2ipal.tables import IMAGES


class Corners(nn.Module):
    """Finds class c where pixel c of the first row is white."""

    def forward(self, pixels):
        return 10 * pixels[:, 0, 0, : len(NAMES)]


def picture(*classes):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[0, list(classes)] = 255
    return pixels


def named(*rows):
    table = torch.zeros(len(rows), len(NAMES), dtype=torch.bool)
    for row, classes in enumerate(rows):
        table[row, list(classes)] = True
    return table


PICTURES = [picture(0, 1), picture(0), picture(2, 3), picture()]
CAPTIONS = named([0, 1], [0, 1], [2], [])


def test_what_is_named_and_found():
    found = inspect(Corners(), PICTURES, CAPTIONS, ["a", "b", "c", "d"])
    assert found.all_found().tolist() == [True, False, True, True]
    assert found.foreign().tolist() == [False, False, True, False]
    first, second, third = (found.by_class()[NAMES[c]] for c in range(3))
    assert (first.images, first.found, first.all_found) == (2, 1.0, 0.5)
    assert (second.images, second.found, second.all_found) == (2, 0.5, 0.5)
    assert (third.images, third.found, third.all_found) == (1, 1.0, 1.0)
    assert found.by_class()[NAMES[3]].found is None  # named nowhere


def test_images_that_are_left_out():
    rest = inspect(Corners(), PICTURES, CAPTIONS, ["a", "b", "c", "d"]).without({"b", "x"})
    assert rest.ids == ("a", "c", "d")
    assert len(rest) == 3
    assert rest.by_class()[NAMES[1]].found == 1.0


def row(key, pixels, labels, kept=True):
    image = encode(Image.fromarray(pixels), "png", 100) if kept else b""
    common = {
        "caption_id": key,
        "seed": 0,
        "width": 32,
        "height": 32,
        "sha256": "",
        "model": "",
        "reason": "",
    }
    return common | {"image_id": key, "image": image, "labels": labels, "kept": kept}


def test_images_of_a_run_without_those_that_it_refused(tmp_path):
    shards = Store.open(str(tmp_path)).shards("images")
    shards.write("one", pa.Table.from_pylist([row("a", PICTURES[0], [0, 1])], schema=IMAGES))
    refused = row("b", PICTURES[1], [0], kept=False)
    shards.write("two", pa.Table.from_pylist([refused, row("c", PICTURES[1], [0, 1])], schema=IMAGES))
    found = inspect_table(Corners(), shards, ["one", "two"])
    assert found.ids == ("a", "c")
    assert found.named.equal(CAPTIONS[:2])
    assert found.all_found().tolist() == [True, False]
    shards.write("none", pa.Table.from_pylist([refused], schema=IMAGES))
    with pytest.raises(ValueError, match="keeps no image"):
        inspect_table(Corners(), shards, ["none"])
