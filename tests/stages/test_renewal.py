"""What is missing, and what has to be made again, between features and bundle."""

import os
import shutil
from dataclasses import asdict, replace

import pyarrow as pa
import pytest

from t2ipal import Recognizer
from t2ipal.errors import UserError
from t2ipal.evaluation import shards as evaluation_shards
from t2ipal.evaluation.shards import open_photos
from t2ipal.images.plan import image_shards
from t2ipal.recipe import Ranks
from t2ipal.run_files import CARD, METRICS
from t2ipal.stages import bundle, evaluate, features, tune
from t2ipal.store import json_bytes
from t2ipal.tables import CAPTIONS, IMAGES
from t2ipal.tuning.session import run_tuning
from t2ipal.tuning.trial import RESULT, TUNED, Trial
from tests.finished_images import compute_features, finished_images
from tests.whole_table import read_all


def test_pending_work_is_named_until_it_is_done(finished):
    recipe, store, waiting, reports = finished
    assert waiting[features] == [
        *(f"images-{a:05d}-{b:03d}" for a, parts in ((0, 3), (1, 3), (2, 1)) for b in range(parts)),
        *(f"captions-{i:05d}" for i in range(3)),
        "test-00000",
    ]
    assert waiting[tune] == ["tune"]
    assert all(waiting[stage] for stage in (evaluate, bundle))
    for stage in (features, tune, evaluate, bundle):
        assert stage.pending(recipe, store) == []
        assert stage.run(recipe, store).already_complete
    assert not any(report.already_complete for report in reports.values())


def test_only_features_of_what_changed_are_computed_again(copy):
    recipe, store = copy
    shards = store.shards("images")
    rows = shards.read("images-00001-000").to_pylist()
    rows[0]["kept"] = False
    table = pa.Table.from_pylist(rows, schema=IMAGES)
    shards.write("images-00001-000", table, shards.done()["images-00001-000"].extra)
    os.remove(store.path("caption_features/captions-00002.parquet"))
    assert features.pending(recipe, store) == ["images-00001-000", "captions-00002"]


def test_each_table_of_features_may_be_asked_for_alone(copy):
    recipe, store = copy
    os.remove(store.path("caption_features/captions-00002.parquet"))
    os.remove(store.path("test_features/test-00000.parquet"))
    assert features.pending(recipe, store, features.OF_TUNING) == ["captions-00002"]
    assert features.tuning_pending(recipe, store) == ["captions-00002"]
    assert features.pending(recipe, store, [features.TEST]) == ["test-00000"]
    assert features.pending(recipe, store, [features.TRAIN]) == ["train-00000"]
    compute_features(recipe, store, [features.TRAIN])
    assert features.pending(recipe, store, [features.TRAIN]) == []
    names = read_all(store.shards(features.TRAIN))["image_id"].to_pylist()
    assert names == [f"t{i}.png" for i in range(12)]


def rewrite_a_caption(store):
    """Give one caption another text: its shard's checksum changes."""
    shards = store.shards("captions")
    rows = shards.read("captions-00001").to_pylist()
    rows[0]["text"] += " and the blue"
    shards.write("captions-00001", pa.Table.from_pylist(rows, schema=CAPTIONS))


def repaint(recipe, store):
    """Mark the images as made from the captions as they are now."""
    for shard in image_shards(store.shards("captions").done(), recipe.images):
        shards = store.shards("images")
        shards.write(shard.name, shards.read(shard.name), shard.extra)


def test_results_of_other_data_are_not_complete(copy):
    recipe, store = copy
    rewrite_a_caption(store)
    assert all(stage.pending(recipe, store) for stage in (features, tune, evaluate, bundle))
    repaint(recipe, store)
    assert "captions-00001" in features.pending(recipe, store)
    compute_features(recipe, store)
    assert features.pending(recipe, store) == []
    for stage in (tune, evaluate, bundle):
        assert stage.pending(recipe, store)
        assert not stage.run(recipe, store).already_complete
        assert stage.pending(recipe, store) == []


def test_tuning_does_not_go_on_from_a_checkpoint_of_other_data(copy):
    recipe, store = copy
    forget_tuning(recipe, store)
    stop_after(2, Trial.of(recipe, store))
    rewrite_a_caption(store)
    repaint(recipe, store)
    compute_features(recipe, store)
    assert epochs_of(Trial.of(recipe, store)) == [1, 2, 3]


def test_tuning_does_not_go_on_from_a_checkpoint_of_other_settings(copy):
    recipe, store = copy
    forget_tuning(recipe, store)
    stop_after(2, Trial.of(recipe, store))
    ours = recipe.methods.t2i_pal.model_copy(update={"alpha": 0.3})
    methods = recipe.methods.model_copy(update={"t2i_pal": ours})
    assert epochs_of(Trial.of(recipe.model_copy(update={"methods": methods}), store)) == [1, 2, 3]


def test_tuning_that_was_killed_goes_on_from_its_last_epoch(copy):
    recipe, store = copy
    trial = Trial.of(recipe, store)
    whole = store.read_bytes(trial.tuned)
    forget_tuning(recipe, store)
    stop_after(2, trial)
    assert tune.pending(recipe, store) == ["tune"]
    assert epochs_of(trial) == [3]
    assert store.read_bytes(trial.tuned) == whole


def forget_tuning(recipe, store):
    trial = Trial.of(recipe, store)
    for name in (trial.result, trial.tuned, trial.progress):
        os.remove(store.path(name))


def stop_after(epoch, trial):
    def stop(entry):
        if entry["epoch"] == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tuning(trial, on_epoch=stop)


def epochs_of(trial):
    epochs = []
    run_tuning(trial, on_epoch=lambda entry: epochs.append(entry["epoch"]))
    return epochs


def test_other_parameters_need_another_evaluation(copy):
    recipe, store = copy
    trial = Trial.of(recipe, store)
    other = json_bytes(store.read_json(trial.result) | {"thresholds": [0.5] * 3})
    trial.results.write([(TUNED, store.read_bytes(trial.tuned)), (RESULT, other)], trial.origin())
    assert tune.pending(recipe, store) == []
    assert evaluate.pending(recipe, store)
    assert bundle.pending(recipe, store)


def test_nothing_to_tune_on_is_told_before_workers_start(copy):
    recipe, store = copy
    os.remove(store.path(Trial.of(recipe, store).result))
    shards = store.shards("features")
    for name, manifest in shards.done().items():
        shards.write(name, shards.read(name).slice(0, 0), manifest.extra)
    two = recipe.tune.model_copy(update={"workers": Ranks(min=2, max=2)})
    with pytest.raises(UserError, match="no synthetic image to tune on"):
        tune.run(recipe.model_copy(update={"tune": two}), store)


@pytest.fixture
def own_test_set(copy, tmp_path):
    """The copied run with a test set that may be changed."""
    recipe, store = copy
    folder = tmp_path / "data"
    shutil.copytree(recipe.evaluate.dataset, folder)
    return recipe.with_evaluate(dataset=str(folder)), store, folder / "test.csv"


def test_a_changed_test_set_is_noticed(own_test_set):
    recipe, store, labels = own_test_set
    store.fingerprints.update(recipe.fingerprints())
    compute_features(recipe, store)
    assert features.pending(recipe, store) == []
    text = labels.read_text()
    labels.write_text(text.replace("1.png,fish", "1.png,house"))
    assert features.pending(recipe, store) == ["test-00000"]
    shutil.copy(labels.parent / "0.png", labels.parent / "12.png")
    labels.write_text(text + "\n12.png,tree")
    assert features.pending(recipe, store) == ["test-00000"]
    compute_features(recipe, store)
    assert read_all(store.shards("test_features")).num_rows == 13
    assert evaluate.pending(recipe, store)


def test_features_of_a_test_set_that_has_shrunk_are_removed(own_test_set, monkeypatch):
    recipe, store, labels = own_test_set
    store.fingerprints.update(recipe.fingerprints())
    monkeypatch.setattr(evaluation_shards, "SHARD_ROWS", 6)
    compute_features(recipe, store)
    assert features.run(recipe, store).shards_total == 12
    labels.write_text("\n".join(labels.read_text().splitlines()[:7]))
    assert features.pending(recipe, store) == ["test-00001"]
    assert features.run(recipe, store).rows == 46 + 24 + 6
    assert features.pending(recipe, store) == []
    assert not store.exists("test_features/test-00001.parquet")


def test_a_test_set_without_any_of_the_classes(own_test_set):
    recipe, store, labels = own_test_set
    labels.write_text("image,labels\n0.png,\n1.png,")
    with pytest.raises(UserError, match="holds a class of the vocabulary"):
        features.pending(recipe, store)


def test_a_recognizer_without_a_test_set(copy):
    recipe, store = copy
    recipe = recipe.with_evaluate(dataset=None)
    store.fingerprints.update(recipe.fingerprints())
    shutil.rmtree(store.path("test_features"))
    os.remove(store.path(METRICS))
    os.remove(store.path(CARD))
    assert features.pending(recipe, store) == []
    assert tune.pending(recipe, store) == []
    assert evaluate.pending(recipe, store) == []
    assert evaluate.run(recipe, store).rows == 0
    assert bundle.pending(recipe, store)
    bundle.run(recipe, store)
    assert bundle.pending(recipe, store) == []
    assert Recognizer.load(f"{store.uri}/bundle").card.quality == {}


def test_a_worker_opens_the_test_set_once(finished, monkeypatch):
    recipe, store, *_ = finished
    opened = []
    monkeypatch.setattr(
        features, "open_photos", lambda *given: opened.append(given[1]) or open_photos(*given)
    )
    monkeypatch.setattr(evaluation_shards, "SHARD_ROWS", 6)
    extractor = features.FeatureExtractor(recipe, store)
    for part in ("test-00000", "test-00001"):
        assert extractor._photos("test", part)["image_id"].to_pylist()[0] == f"{6 * int(part[-1])}.png"
    assert opened == ["test"]
    assert extractor._photos("train", "train-00000")["image_id"].to_pylist()[0] == "t0.png"


def test_a_shard_of_features_that_comes_again_is_not_computed_again(copy, monkeypatch):
    recipe, store = copy
    extractor, shards = features.FeatureExtractor(recipe, store), store.shards("features")
    (work, *_) = [each for each in features.planned(recipe, store) if each.table == "features"]

    def told(work):
        return {name: value for name, value in extractor(asdict(work)).items() if name != "seconds"}

    first = told(work)
    with monkeypatch.context() as patched:
        patched.setattr(features.FeatureExtractor, "_table", None)
        assert told(work) == first
    assert told(replace(work, source="other images")) == first
    assert shards.find(work.shard).extra["source"] == "other images"


def test_a_stage_names_the_one_before_it(tmp_path):
    recipe, store = finished_images(tmp_path)
    for stage, before in ((tune, "features"), (evaluate, "features"), (bundle, "tune")):
        with pytest.raises(UserError, match=f"run the stage {before} first"):
            stage.run(recipe, store)
    os.remove(store.path("images/images-00000-000.parquet"))
    with pytest.raises(UserError, match="run the stage images first"):
        features.run(recipe, store)
    assert "images-00000-000" in features.pending(recipe, store)


def test_a_context_that_is_too_long_is_reported_before_workers_start(copy):
    recipe, store = copy
    os.remove(store.path(Trial.of(recipe, store).result))
    longer = recipe.methods.t2i_pal.model_copy(update={"context": 15})
    methods = recipe.methods.model_copy(update={"t2i_pal": longer})
    two = recipe.tune.model_copy(update={"workers": Ranks(min=2, max=2)})
    with pytest.raises(UserError, match="a context of 15 tokens"):
        tune.run(recipe.model_copy(update={"methods": methods, "tune": two}), store)
