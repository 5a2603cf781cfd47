import os
import sys

import pytest

from t2ipal.errors import UserError
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.stages import captions, images
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS
from tests.layouts import write_captions, write_narratives
from tests.recipes import tiny_recipe
from tests.whole_table import read_all

TEXTS = ["a fish", "two houses", "nothing", "a tree and a fish", "a house", "trees", "a fish"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "captions.json"
    write_captions(path, enumerate(TEXTS))
    return path


def open_run(folder, path, **settings):
    source = {"path": str(path), "shard_rows": 2} | settings
    recipe = tiny_recipe(captions=None, annotated_captions=source)
    store = Store.open(str(folder))
    store.claim(recipe)
    return recipe, store


@pytest.fixture
def run(tmp_path, path, monkeypatch):
    for name in ("ray", "ray.data", "ray.data.llm"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would fail
    return open_run(tmp_path / "run", path)


def test_sentences_become_the_table_that_an_engine_would_write(run):
    recipe, store = run
    assert captions.pending(recipe, store) == ["captions-00000"]  # how many there will be is not known yet
    assert images.pending(recipe, store) == ["images-00000-000"]
    report = captions.run(recipe, store)
    assert captions.pending(recipe, store) == []
    assert (report.stage, report.rows, report.shards_total, report.shards_done_before) == (
        "captions",
        6,
        3,
        0,
    )
    counts = {"read": 7, "excluded": 0, "without class": 1, "left out": 0}
    assert report.notes == counts | {"per class": "2 to 3", "pairs": "1 of 3"}
    assert store.read_json(CAPTION_REPORT) == {
        "read": 7,
        "excluded": 0,
        "without_class": 1,
        "left_out": 0,
        "captions": 6,
        "classes": {"fish": 3, "house": 2, "tree": 2},
        "pairs": {"fish": {"tree": 1}},
    }
    table = read_all(store.shards("captions"))
    assert table.schema.equals(CAPTIONS)
    rows = table.to_pylist()
    assert {row["text"] for row in rows} == set(TEXTS) - {"nothing"}
    (third,) = (row for row in rows if row["caption_id"] == "c00000020")  # COCO's id of the caption
    assert third["labels"] == third["requested"] == [0, 2]
    assert {(row["source"], row["model"]) for row in rows} == {("coco_captions", "captions.json")}
    assert len({row["seed"] for row in rows}) == 6
    assert images.pending(recipe, store) == [f"images-{i:05d}-000" for i in range(3)]


def test_a_finished_stage_reads_no_file(run, path):
    recipe, store = run
    captions.run(recipe, store)
    path.unlink()
    report = captions.run(recipe, store)
    assert report.already_complete
    assert (report.rows, report.notes["read"]) == (6, 7)


def test_only_what_is_missing_is_written_and_is_the_same_again(run):
    recipe, store = run
    captions.run(recipe, store)
    shards = store.shards("captions")
    before = read_all(shards)
    kept = store.path("captions/captions-00000.parquet")
    written = os.stat(kept).st_mtime_ns
    shards.delete(["captions-00001", "captions-00002"])
    assert captions.pending(recipe, store) == ["captions-00001", "captions-00002"]
    assert images.pending(recipe, store) == ["images-00001-000", "images-00002-000"]
    assert captions.run(recipe, store).shards_done_before == 1
    assert read_all(shards).equals(before)
    assert os.stat(kept).st_mtime_ns == written


def test_narratives_with_a_cap(tmp_path):
    path = tmp_path / "narratives.jsonl"
    write_narratives(path, (("0a", text) for text in TEXTS * 3))
    recipe, store = open_run(tmp_path / "run", path, per_class=2)
    report = captions.run(recipe, store)
    assert (report.rows, report.notes["left out"]) == (6, 12)
    rows = read_all(store.shards("captions")).to_pylist()
    assert {row["source"] for row in rows} == {"localized_narratives"}


def test_a_damaged_file_leaves_nothing(run, path):
    recipe, store = run
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="truncated"):
        captions.run(recipe, store)
    assert store.shards("captions").written() == []
