import io
import os

import numpy as np
import pytest
from PIL import Image

from t2ipal.images.codec import encode
from t2ipal.results import MANIFEST
from t2ipal.run_files import SHEETS
from t2ipal.stages import sheets
from t2ipal.stages.sheets import sheet_name, write_sheets
from t2ipal.tuning.source import planned_images
from tests.finished_images import COLOURS, NAMES, finished_images


@pytest.fixture
def run(tmp_path):
    return finished_images(tmp_path)


def write(recipe, store, classes=NAMES):
    return write_sheets(store, classes, planned_images(recipe, store), store.shards("images").done())


def shown(store, name):
    """Number of pictures on a sheet: blocks of a class's colour, 5 times as large as in the pictures."""
    sheet = np.asarray(Image.open(io.BytesIO(store.read_bytes(sheet_name(name)))).convert("RGB"))
    return [int((sheet == colour).all(axis=2).sum() // (10 * 32 * 5 * 5)) for colour in COLOURS]


def kept(store):
    rows = [store.shards("images").read(name).to_pylist() for name in store.shards("images").done()]
    return [row for part in rows for row in part if row["kept"]]


def test_each_class_has_a_sheet_of_its_images(run):
    recipe, store = run
    assert write(recipe, store) == 3
    for label, name in enumerate(NAMES):
        of_class = [row for row in kept(store) if label in row["labels"]]
        # Every picture of the class is there, and with it those of other classes that it shows.
        assert shown(store, name) == [sum(other in row["labels"] for row in of_class) for other in range(3)]


def test_sheets_are_made_once_and_again_for_other_images(run):
    recipe, store = run
    write(recipe, store)
    assert write(recipe, store) == 0
    assert write(recipe, store, ("fish", "house", "big tree")) == 3
    shards = store.shards("images")
    name, manifest = next(iter(shards.done().items()))
    shards.write(name, shards.read(name).slice(1), manifest.extra)
    assert write(recipe, store) == 3
    os.remove(store.path(f"{SHEETS}/{MANIFEST}"))  # as after a job that was killed
    assert write(recipe, store) == 3


def test_a_sheet_is_bounded_and_few_shards_are_read(run, monkeypatch):
    recipe, store = run
    monkeypatch.setattr(sheets, "PER_CLASS", 4)
    monkeypatch.setattr(sheets, "MOST_SHARDS", 3)
    read, real = [], sheets._rows
    monkeypatch.setattr(sheets, "_rows", lambda *each: read.append(each[1].name) or real(*each))
    write(recipe, store)
    assert [shown(store, name)[label] for label, name in enumerate(NAMES)] == [4, 4, 4]
    planned = [shard.name for shard in planned_images(recipe, store)]
    assert read
    assert set(read) <= set(planned[::3])  # spread over the seven


def test_a_class_without_images_has_no_sheet(run):
    recipe, store = run
    assert write(recipe, store, (*NAMES, "moon")) == 3
    assert not store.exists(sheet_name("moon"))


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_class_that_has_lost_its_images_loses_its_sheet_and_no_other_file_is_removed(run, is_killed):
    recipe, store = run
    write(recipe, store)
    if is_killed:  # a job that had removed the manifest
        os.remove(store.path(f"{SHEETS}/{MANIFEST}"))
    store.write_bytes(f"{SHEETS}/other.png", b"mine")
    store.write_bytes(f"{SHEETS}/fish/notes.txt", b"mine")
    shards = store.shards("images")
    for name, manifest in shards.done().items():
        rows = shards.read(name)
        kept = [row | {"kept": row["kept"] and 2 not in row["labels"]} for row in rows.to_pylist()]
        shards.write(name, rows.from_pylist(kept, schema=rows.schema), manifest.extra)
    assert write(recipe, store) == 2
    assert not store.exists(sheet_name("tree"))
    assert store.read_bytes(f"{SHEETS}/other.png") == store.read_bytes(f"{SHEETS}/fish/notes.txt") == b"mine"
    assert write(recipe, store) == 0


def test_a_sheet_of_a_former_class_is_removed(run):
    recipe, store = run
    write(recipe, store)
    assert write(recipe, store, ("fish", "house", "oak")) == 3
    assert not store.exists(sheet_name("tree"))
    assert store.exists(sheet_name("oak"))


def test_no_images_at_all(run):
    _, store = run
    assert write_sheets(store, NAMES, [], {}) == 0


def test_only_large_images_are_made_smaller():
    small, large = (encode(Image.new("RGB", size, "red"), "webp", 100) for size in ((64, 32), (640, 320)))
    assert sheets._thumbnail(small) == small
    assert Image.open(io.BytesIO(sheets._thumbnail(large))).size == (160, 80)


def test_the_name_of_a_sheet_is_that_of_its_class():
    assert sheet_name("teddy bear") == "sheets/teddy bear.png"
    assert sheet_name("car/van") == "sheets/car_van.png"
