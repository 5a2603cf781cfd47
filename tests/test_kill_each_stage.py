"""The comparison of a killed run with one left alone notices what it is there for."""

import shutil

import pyarrow as pa
import pytest

from t2ipal.captions_recipe import AnnotatedCaptionsRecipe
from t2ipal.store import Store
from tests.finished_images import compute_features, finished_images
from tests.kill_each_stage import compare


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    recipe, store = finished_images(tmp_path_factory.mktemp("whole"))
    compute_features(recipe, store)
    return recipe, store


@pytest.fixture
def killed(whole, tmp_path):
    store = Store.open(str(shutil.copytree(whole[1].root, tmp_path / "killed")))
    store.claim(whole[0])
    return store


def test_equal_runs(whole, killed):
    assert compare(*whole, killed)


@pytest.mark.parametrize("table", ["captions", "images", "features", "caption_features", "test_features"])
@pytest.mark.parametrize("change", ["lost", "doubled"])
def test_a_row_that_is_lost_or_doubled(whole, killed, table, change):
    shards = killed.shards(table)
    name = shards.written()[0]
    rows = shards.read(name)
    parts = [rows.slice(1)] if change == "lost" else [rows.slice(0, 1), rows]
    shards.write(name, pa.concat_tables(parts), shards.done()[name].extra)
    assert not compare(*whole, killed)


def test_captions_from_a_file(whole, killed):
    source = AnnotatedCaptionsRecipe(path="unused")
    recipe = whole[0].model_copy(update={"captions": None, "annotated_captions": source})
    shards = killed.shards("captions")
    for name in shards.written():
        shards.write(name, shards.read(name), {"shards": 3})
    assert compare(recipe, killed, killed)
    shards.delete(["captions-00001"])
    assert not compare(recipe, killed, killed)


def test_runs_without_one_caption_in_common_show_nothing(whole, killed):
    shards = killed.shards("captions")
    for name in shards.written():
        rows = [row | {"text": f"another {row['text']}"} for row in shards.read(name).to_pylist()]
        shards.write(name, pa.Table.from_pylist(rows, schema=shards.read(name).schema))
    assert not compare(*whole, killed)
