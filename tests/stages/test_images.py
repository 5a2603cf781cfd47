import os
import shutil

import pyarrow as pa
import pytest

from t2ipal.captions.plan import CaptionPlan
from t2ipal.errors import UserError
from t2ipal.images.codec import decode, sha256
from t2ipal.seeds import derive_seed
from t2ipal.stages import images
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS, IMAGES
from tests.recipes import tiny_recipe
from tests.tiny_models import save_painter
from tests.whole_table import read_all


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painter")
    save_painter(folder)
    return str(folder)


@pytest.fixture
def recipe(painter):
    pool = {"min": 1, "max": 2, "cpus": 0.5}
    return tiny_recipe(images={"model": painter, "per_caption": 2, "shard_rows": 6, "workers": pool})


def claimed(folder, recipe, shards=None):
    """Return a run folder with captions, the third of every four rejected, as the stage before leaves it."""
    store = Store.open(str(folder))
    store.claim(recipe)
    plan = CaptionPlan.of(recipe)
    for shard in shards or plan.shards():
        rows = [
            {
                "caption_id": f"c{row:08d}",
                "text": f"a picture of thing {row}",
                "labels": list(plan.classes(row)),
                "requested": list(plan.classes(row)),
                "source": "test",
                "model": "test",
                "seed": 0,
            }
            for row in plan.rows(shard)
            if row % 4 != 2
        ]
        store.shards("captions").write(shard, pa.Table.from_pylist(rows, schema=CAPTIONS))
    return store


def pictures(store):
    return {row["image_id"]: row["sha256"] for row in read_all(store.shards("images")).to_pylist()}


@pytest.fixture(scope="module")
def finished(ray_cluster, tmp_path_factory, painter):
    """A finished run of two actors, its recipe and its report."""
    pool = {"min": 1, "max": 2, "cpus": 0.5}
    recipe = tiny_recipe(images={"model": painter, "per_caption": 2, "shard_rows": 6, "workers": pool})
    store = claimed(tmp_path_factory.mktemp("run"), recipe)
    return store, recipe, images.run(recipe, store)


def test_every_caption_has_its_images(finished):
    store, _, report = finished
    table = read_all(store.shards("images"))
    assert table.schema.equals(IMAGES)
    kept = [row for row in range(12) if row % 4 != 2]
    assert table.column("image_id").to_pylist() == [f"c{row:08d}-{k}" for row in kept for k in (0, 1)]
    assert (report.rows, report.shards_total, report.shards_done_before) == (18, 3, 0)
    assert not report.already_complete


def test_a_row_describes_its_image(finished):
    store, recipe, _ = finished
    for row in read_all(store.shards("images")).to_pylist():
        assert decode(row["image"]).size == (row["width"], row["height"]) == (32, 32)
        assert row["sha256"] == sha256(row["image"])
        assert row["seed"] == derive_seed(recipe.seed, row["image_id"])
        assert row["labels"] == list(CaptionPlan.of(recipe).classes(int(row["caption_id"][1:])))
        assert (row["kept"], row["reason"]) == (True, "")


def test_images_differ(finished):
    assert len(set(pictures(finished[0]).values())) == 18


def test_a_finished_stage_has_nothing_to_do(finished):
    store, recipe, _ = finished
    assert images.pending(recipe, store) == []
    report = images.run(recipe, store)
    assert report.already_complete
    assert report.rows == 18


def test_only_what_is_missing_is_painted_and_the_same(finished):
    store, recipe, _ = finished
    before = pictures(store)
    os.remove(store.path("images/images-00001-000.parquet"))
    kept = store.path("images/images-00002-000.parquet")
    written = os.stat(kept).st_mtime_ns
    assert images.pending(recipe, store) == ["images-00001-000"]
    assert images.run(recipe, store).shards_done_before == 2
    assert pictures(store) == before
    assert os.stat(kept).st_mtime_ns == written


def test_images_of_captions_that_changed_are_not_done(finished, tmp_path):
    store, recipe, _ = finished
    copy = Store.open(shutil.copytree(store.root, f"{tmp_path}/copy"))
    copy.claim(recipe)
    shards = copy.shards("captions")
    rows = shards.read("captions-00000").to_pylist()
    shards.write("captions-00000", pa.Table.from_pylist(rows, schema=CAPTIONS))
    assert images.pending(recipe, copy) == []  # the same captions again
    rows[0]["text"] = "another text"
    shards.write("captions-00000", pa.Table.from_pylist(rows, schema=CAPTIONS))
    assert images.pending(recipe, copy) == ["images-00000-000"]


def test_images_of_captions_that_are_gone_are_removed(finished, tmp_path):
    store, recipe, _ = finished
    copy = Store.open(shutil.copytree(store.root, f"{tmp_path}/copy"))
    copy.claim(recipe)
    shards = copy.shards("images")
    shards.write("images-00000-001", shards.read("images-00000-000"))
    assert images.pending(recipe, copy) == ["images-00000-001"]
    assert images.run(recipe, copy).rows == 18
    assert images.pending(recipe, copy) == []
    assert read_all(shards).num_rows == 18


def test_captions_that_are_missing(tmp_path, recipe):
    store = claimed(tmp_path, recipe, shards=["captions-00000"])
    assert images.pending(recipe, store) == ["images-00000-000", "images-00001-000", "images-00002-000"]
    with pytest.raises(UserError, match="2 caption shards are missing, 'captions-00001' for one"):
        images.run(recipe, store)


def test_a_damaged_model_folder(tmp_path, recipe, ray_cluster):
    empty = tmp_path / "model"
    empty.mkdir()
    broken = recipe.model_copy(update={"images": recipe.images.model_copy(update={"model": str(empty)})})
    with pytest.raises(UserError, match=r"images\.model: the model folder .* has no model_index\.json"):
        images.run(broken, claimed(tmp_path / "run", broken))


def test_an_unknown_scheduler(tmp_path, recipe, ray_cluster):
    broken = recipe.model_copy(update={"images": recipe.images.model_copy(update={"scheduler": "Nothing"})})
    with pytest.raises(UserError, match="'Nothing', which is no scheduler"):
        images.run(broken, claimed(tmp_path, broken))
