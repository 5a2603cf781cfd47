import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from unittest.mock import Mock

import pyarrow as pa
import pytest
import torch

from t2ipal.captions.plan import CaptionPlan
from t2ipal.errors import UserError
from t2ipal.images import painter as painter_module
from t2ipal.images.codec import decode, sha256
from t2ipal.images.lost_device import DeviceLostError
from t2ipal.images.plan import image_shards
from t2ipal.seeds import derive_seed
from t2ipal.shards import Shards
from t2ipal.stages import images
from t2ipal.stages.images import ShardPainter
from t2ipal.stages.sheets import sheet_name
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS, IMAGES
from t2ipal.tuning.source import planned_images
from t2ipal.watch import Progress
from tests.painted_run import begun, pictures
from tests.recipes import tiny_recipe
from tests.tiny_models import save_painter
from tests.tiny_pipelines import save_pipeline
from tests.whole_table import read_all

LEFT = "losses_left.json"


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painter")
    save_painter(folder)
    return str(folder)


@pytest.fixture
def recipe(painter):
    pool = {"min": 1, "max": 2, "cpus": 0.5}
    return tiny_recipe(images={"model": painter, "per_caption": 2, "shard_rows": 6, "workers": pool})


@pytest.fixture(scope="module")
def finished(ray_cluster, tmp_path_factory, painter):
    """A finished run of two actors, its recipe and its report."""
    pool = {"min": 1, "max": 2, "cpus": 0.5}
    recipe = tiny_recipe(images={"model": painter, "per_caption": 2, "shard_rows": 6, "workers": pool})
    store = begun(str(tmp_path_factory.mktemp("run")), recipe)
    return store, recipe, images.run(recipe, store)


def test_every_caption_has_its_images(finished):
    store, _, report = finished
    table = read_all(store.shards("images"))
    assert table.schema.equals(IMAGES)
    kept = [row for row in range(12) if row % 4 != 2]
    assert table.column("image_id").to_pylist() == [f"c{row:08d}-{k}" for row in kept for k in (0, 1)]
    assert (report.rows, report.shards_total, report.shards_done_before) == (18, 3, 0)
    assert not report.already_complete
    assert (report.effort.work["images"].amount, report.effort.shards) == (18, 3)
    assert 0 < report.effort.seconds < report.seconds


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
    told = []
    assert images.run(recipe, store, watch=told.append).shards_done_before == 2
    assert told == [Progress(6, 6, "images")]
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


def test_a_worker_loads_and_runs_its_model_on_one_thread(recipe, tmp_path, monkeypatch):
    met = []

    def met_by(function):
        def called(*args, **kwargs):
            met.append(threading.get_ident())
            return function(*args, **kwargs)

        return called

    monkeypatch.setattr(painter_module, "load_pipeline", met_by(painter_module.load_pipeline))
    monkeypatch.setattr(images, "paint_rows", met_by(images.paint_rows))
    store = begun(str(tmp_path), recipe)
    worker = ShardPainter(recipe.images, recipe.seed, store)
    shard = image_shards(store.shards("captions").done(), recipe.images)[0]
    with ThreadPoolExecutor(1) as caller:
        assert caller.submit(worker, asdict(shard)).result()["rows"] == 6
    assert met == [met[0]] * 2
    assert met[0] != threading.get_ident()


def test_one_shard_is_written_while_the_next_is_painted(recipe, tmp_path, monkeypatch):
    store, begun_to_paint, write = begun(str(tmp_path), recipe), [], Shards.write
    second_is_painted = threading.Event()
    paint = images.paint_rows

    def noted(*given):
        begun_to_paint.append(given)
        if len(begun_to_paint) == 2:
            second_is_painted.set()
        return paint(*given)

    def waits(shards, name, *given):
        assert second_is_painted.wait(60), "the model stood still"
        return write(shards, name, *given)

    monkeypatch.setattr(images, "paint_rows", noted)
    worker = ShardPainter(recipe.images, recipe.seed, store)
    planned = image_shards(store.shards("captions").done(), recipe.images)[:2]
    monkeypatch.setattr(Shards, "write", waits)
    with ThreadPoolExecutor(2) as callers:
        told = list(callers.map(worker, map(asdict, planned)))
    assert (
        [each["shard"] for each in told]
        == [shard.name for shard in planned]
        == [*store.shards("images").done()]
    )


def test_a_shard_that_comes_again_is_not_painted_again(recipe, tmp_path, monkeypatch):
    store = begun(str(tmp_path), recipe)
    worker = ShardPainter(recipe.images, recipe.seed, store)
    shard = image_shards(store.shards("captions").done(), recipe.images)[0]
    told = worker(asdict(shard))
    assert told["painting_s"] > 0
    with monkeypatch.context() as patched:
        patched.setattr(images, "paint_rows", None)
        assert worker(asdict(shard)) == told | {"painting_s": 0.0}
    changed = replace(shard, captions_sha256="of other captions")
    anew = worker(asdict(changed))
    assert anew == told | {"painting_s": anew["painting_s"]}
    assert anew["painting_s"] > 0
    assert store.shards("images").find(shard.name).extra["captions_sha256"] == "of other captions"


def test_captions_that_are_missing(tmp_path, recipe):
    store = begun(str(tmp_path), recipe)
    store.shards("captions").delete(["captions-00001", "captions-00002"])
    assert images.pending(recipe, store) == ["images-00001-000", "images-00002-000"]
    with pytest.raises(UserError, match="2 caption shards are missing, 'captions-00001' for one"):
        images.run(recipe, store)


def test_a_damaged_model_folder(tmp_path, recipe, ray_cluster):
    empty = tmp_path / "model"
    empty.mkdir()
    broken = recipe.model_copy(update={"images": recipe.images.model_copy(update={"model": str(empty)})})
    with pytest.raises(UserError, match=r"images\.model: the model folder .* has no model_index\.json"):
        images.run(broken, begun(str(tmp_path / "run"), broken))


def test_an_unknown_scheduler(tmp_path, recipe, ray_cluster):
    broken = recipe.model_copy(update={"images": recipe.images.model_copy(update={"scheduler": "Nothing"})})
    with pytest.raises(UserError, match="'Nothing', which is no scheduler"):
        images.run(broken, begun(str(tmp_path), broken))


def test_a_sheet_of_each_class_is_made_with_the_images(finished):
    store, _, report = finished
    assert report.notes["sheets"] == 3
    assert all(store.exists(sheet_name(name)) for name in ("fish", "house", "tree"))


def test_what_became_of_the_images_is_in_the_manifest_and_the_report(finished, tmp_path):
    store, recipe, report = finished
    counts = {"redrawn": 0, "refused": 0, "failed": 0}
    assert report.notes == {"painted": 18, **counts, "captions unpainted": 0, "sheets": 3}
    for manifest in store.shards("images").done().values():
        assert {key: manifest.extra[key] for key in counts} == counts
    unsafe = save_pipeline("with-safety-checker", tmp_path / "model")
    other = recipe.model_copy(update={"images": recipe.images.model_copy(update={"model": unsafe})})
    again = begun(str(tmp_path / "run"), other)
    worker = ShardPainter(other.images, other.seed, again)
    worker._painter._pipeline.safety_checker.concept_embeds_weights.data.fill_(-2.0)
    shard = planned_images(other, again)[0]
    told = {"shard": "images-00000-000", "rows": 6, "redrawn": 18, "refused": 6, "failed": 0}
    assert told.items() <= worker(asdict(shard)).items()
    assert again.shards("images").done()[shard.name].extra["refused"] == 6
    assert shard.name not in images.pending(other, again)  # it was drawn, and nothing is to be seen


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
@pytest.mark.parametrize("gpus", [0.25, 1.0])
def test_a_share_of_a_gpu_is_one_that_the_painter_works_on(recipe, tmp_path, gpus):
    workers = recipe.images.workers.model_copy(update={"gpus": gpus})
    section = recipe.images.model_copy(update={"workers": workers})
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA"):
        ShardPainter(section, recipe.seed, begun(str(tmp_path), recipe))


class LosesItsDevice(ShardPainter):
    """Loses its device while it denoises, as often as a file in the run says."""

    def __init__(self, recipe, seed, store):
        super().__init__(recipe, seed, store)

        def lose(module, args):
            if left := store.read_json(LEFT):
                store.write_json(LEFT, left - 1)
                raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700)

        self._painter._pipeline.unet.register_forward_pre_hook(lose)


def test_a_painter_that_loses_its_device_is_replaced(finished, recipe, tmp_path):
    pool = recipe.images.workers.model_copy(update={"max": 1})
    one = recipe.model_copy(update={"images": recipe.images.model_copy(update={"workers": pool})})
    store = begun(str(tmp_path), one)
    store.write_json(LEFT, 1)
    assert images.run(one, store, LosesItsDevice).rows == 18
    assert store.read_json(LEFT) == 0
    assert pictures(store) == pictures(finished[0])
    store.shards("images").delete(["images-00001-000"])
    store.write_json(LEFT, 100)
    with pytest.raises(UserError, match=r"3 processes lost their device over the shard 'images-00001-000'"):
        images.run(one, store, LosesItsDevice)
    assert store.read_json(LEFT) == 97


def test_a_shard_behind_one_that_gave_up_its_device_is_not_blamed(recipe, tmp_path, monkeypatch):
    store = begun(str(tmp_path), recipe)
    worker = ShardPainter(recipe.images, recipe.seed, store)
    first, second, _ = image_shards(store.shards("captions").done(), recipe.images)
    lost = Mock(side_effect=DeviceLostError("an illegal memory access"))
    monkeypatch.setattr(images, "paint_rows", lost)
    store.write_json(f"images/_lost/{first.name}.json", {"processes": 2})
    for shard in (first, second):
        with pytest.raises(UserError, match=f"3 processes lost their device over the shard '{first.name}'"):
            worker(asdict(shard))
    assert lost.call_count == 1
    assert not store.exists(f"images/_lost/{second.name}.json")


def test_a_setting_that_the_pipeline_does_not_take(tmp_path, recipe, ray_cluster):
    options = {"max_sequence_length": 77}
    broken = recipe.model_copy(update={"images": recipe.images.model_copy(update={"options": options})})
    said = r"^images\.options\.max_sequence_length: the call of Stable"
    with pytest.raises(UserError, match=said):
        images.run(broken, begun(str(tmp_path), broken))
