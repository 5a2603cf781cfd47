"""Features, tuning, evaluation and bundle, one after the other, in this process."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from t2ipal.bundle import Recognizer, save_bundle
from t2ipal.clip import feature_tables
from t2ipal.errors import UserError
from t2ipal.evaluation import shards as evaluation_shards
from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.evaluation.shards import open_test_set
from t2ipal.images.plan import image_shards
from t2ipal.recipe import AnnotatedCaptionsRecipe
from t2ipal.run_files import METRICS, PROGRESS, RESULT, TUNED
from t2ipal.stages import bundle, evaluate, features, tune
from t2ipal.store import Store
from t2ipal.tables import CAPTION_FEATURES, CAPTIONS, FEATURES, PREDICTIONS, TEST_FEATURES
from t2ipal.tuning import session
from tests.finished_images import NAMES, compute_features, finished_images
from tests.layouts import Photo, write_voc
from tests.tiny_clip import EMBED_DIM, tiny_backbone


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with features, tuned, evaluated and bundled."""
    recipe, store = finished_images(tmp_path_factory.mktemp("recognizer"))
    waiting = {stage: stage.pending(recipe, store) for stage in (features, tune, evaluate, bundle)}
    compute_features(recipe, store)
    reports = {stage: stage.run(recipe, store) for stage in (tune, evaluate, bundle)}
    return recipe, store, waiting, reports


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run to spoil."""
    recipe, store, *_ = finished
    again = Store.open(str(shutil.copytree(store.root, tmp_path / "copy")))
    again.claim(recipe)
    return recipe, again


def test_every_kept_image_has_its_features(finished):
    _, store, *_ = finished
    table, images = store.shards("features").read_all(), store.shards("images").read_all()
    assert table.schema.equals(FEATURES)
    kept = [row for row in images.to_pylist() if row["kept"]]
    assert table["image_id"].to_pylist() == [row["image_id"] for row in kept]
    assert len(kept) == 46
    row = table.to_pylist()[3]
    expected = tiny_backbone("resnet").images([_decode(kept[3])])
    np.testing.assert_allclose(row["global"], expected.whole[0], atol=1e-3)
    np.testing.assert_allclose(np.reshape(row["patches"], (4, EMBED_DIM)), expected.patches[0], atol=1e-3)
    assert row["labels"] == kept[3]["labels"]


def _decode(row):
    import io

    return Image.open(io.BytesIO(row["image"]))


def test_captions_and_the_test_set_have_features_too(finished):
    _, store, *_ = finished
    captions = store.shards("caption_features").read_all()
    assert captions.schema.equals(CAPTION_FEATURES)
    assert captions.num_rows == 24
    tested = store.shards("test_features").read_all()
    assert tested.schema.equals(TEST_FEATURES)
    assert tested["ignored"].to_pylist() == [[]] * 12
    assert tested["image_id"].to_pylist() == [f"{i}.png" for i in range(12)]
    assert tested["labels"].to_pylist()[5] == [0, 2]


def test_ignored_classes_reach_the_table(copy, tmp_path):
    recipe, store = copy
    photos = [Photo(["fish"], difficult=["tree", "fish"]), Photo(difficult=["house"])]
    write_voc(tmp_path / "voc", "test", photos)
    other = with_dataset(recipe, str(tmp_path / "voc"))
    table = features.FeatureExtractor(other, store)._test("test-00000")
    assert table["labels"].to_pylist() == [[0], []]
    assert table["ignored"].to_pylist() == [[2], [1]]


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
    table = shards.read("images-00001-000")
    shards.write("images-00001-000", table.slice(0, 7), shards.done()["images-00001-000"].extra)
    os.remove(store.path("caption_features/captions-00002.parquet"))
    assert features.pending(recipe, store) == ["images-00001-000", "captions-00002"]


def rewrite_a_caption(store):
    """Give one caption another text: its shard's checksum changes."""
    shards = store.shards("captions")
    rows = shards.read("captions-00001").to_pylist()
    rows[0]["text"] += " and the blue"
    shards.write("captions-00001", pa.Table.from_pylist(rows, schema=CAPTIONS))


def repaint(recipe, store):
    """Mark the images as made from the captions as they are now."""
    for shard in image_shards(store.shards("captions").done(), recipe.images.per_caption, 8):
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
    for name in (RESULT, TUNED, PROGRESS):
        os.remove(store.path(name))
    with pytest.raises(KeyboardInterrupt):
        session.run_tuning(recipe, store, on_epoch=_stop_after(2))
    rewrite_a_caption(store)
    repaint(recipe, store)
    compute_features(recipe, store)
    epochs = []
    session.run_tuning(recipe, store, on_epoch=lambda entry: epochs.append(entry["epoch"]))
    assert epochs == [1, 2, 3]


def test_other_parameters_need_another_evaluation(copy):
    recipe, store = copy
    result = store.read_json(RESULT)
    store.write_json(RESULT, result | {"thresholds": dict.fromkeys(NAMES, 0.5)})
    assert tune.pending(recipe, store) == []
    assert evaluate.pending(recipe, store)
    assert bundle.pending(recipe, store)


def test_nothing_to_tune_on_is_told_before_workers_start(copy):
    recipe, store = copy
    os.remove(store.path(RESULT))
    shards = store.shards("features")
    for name, manifest in shards.done().items():
        shards.write(name, shards.read(name).slice(0, 0), manifest.extra)
    two = recipe.tune.model_copy(update={"workers": 2})
    with pytest.raises(UserError, match="no synthetic image to tune on"):
        tune.run(recipe.model_copy(update={"tune": two}), store)


@pytest.fixture
def own_test_set(copy, tmp_path):
    """The copied run with a test set that may be changed."""
    recipe, store = copy
    folder = tmp_path / "data"
    shutil.copytree(recipe.evaluate.dataset, folder)
    return with_dataset(recipe, str(folder)), store, folder / "test.csv"


def with_dataset(recipe, dataset):
    section = recipe.evaluate.model_copy(update={"dataset": dataset})
    return recipe.model_copy(update={"evaluate": section})


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
    assert store.shards("test_features").read_all().num_rows == 13
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
    recipe = with_dataset(recipe, None)
    store.fingerprints.update(recipe.fingerprints())
    shutil.rmtree(store.path("test_features"))
    os.remove(store.path(METRICS))
    os.remove(store.path("bundle/recognizer.json"))
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
    monkeypatch.setattr(features, "open_test_set", lambda recipe: opened.append(1) or open_test_set(recipe))
    monkeypatch.setattr(evaluation_shards, "SHARD_ROWS", 6)
    extractor = features.FeatureExtractor(recipe, store)
    for part in ("test-00000", "test-00001"):
        extractor._test(part)
    assert len(opened) == 1


def test_evaluation_holds_one_shard_at_a_time(copy, monkeypatch):
    """Scores of single rows are the same in any shards."""
    recipe, store = copy
    whole = store.shards(evaluate.TABLE).read("zero_shot")
    rows = store.shards("test_features").read("test-00000")
    for i in range(4):
        store.shards("test_features").write(f"test-{i:05d}", rows.slice(3 * i, 3))
    largest = []
    read = feature_tables.read_images
    monkeypatch.setattr(
        feature_tables, "read_images", lambda table: largest.append(table.num_rows) or read(table)
    )
    evaluate._evaluate(recipe, store)
    assert max(largest) <= 8  # the rows of a shard of images
    again = store.shards(evaluate.TABLE).read("zero_shot")
    assert again["image"] == whole["image"]
    np.testing.assert_allclose(again["scores"].to_pylist(), whole["scores"].to_pylist(), atol=1e-6)
    assert again["labels"] == whole["labels"]


def test_the_tuning_set_puts_images_and_captions_together(finished):
    recipe, store, *_ = finished
    data = session.load_tuning_set(recipe, store)
    images = [row for row in store.shards("images").read_all().to_pylist() if row["kept"]]
    captions = store.shards("captions").read_all()["text"].to_pylist()
    for n in (0, 11, 45):
        assert data.labels[n].nonzero().flatten().tolist() == images[n]["labels"]
        text = tiny_backbone("resnet").sentences([captions[int(images[n]["caption_id"][1:])]])
        torch.testing.assert_close(
            data.captions.whole[data.caption[n]].float(), text.whole[0], atol=1e-3, rtol=0
        )
        assert data.captions.mask[data.caption[n]].sum() == text.mask.sum()


def test_tuning_that_was_killed_goes_on_from_its_last_epoch(copy, monkeypatch):
    recipe, store = copy
    whole = store.read_bytes(TUNED)
    for name in (RESULT, TUNED, PROGRESS):
        os.remove(store.path(name))
    with pytest.raises(KeyboardInterrupt):
        session.run_tuning(recipe, store, on_epoch=_stop_after(2))
    assert tune.pending(recipe, store) == ["tune"]
    epochs = []
    session.run_tuning(recipe, store, on_epoch=lambda entry: epochs.append(entry["epoch"]))
    assert epochs == [3]
    assert store.read_bytes(TUNED) == whole


def _stop_after(epoch):
    def stop(entry):
        if entry["epoch"] == epoch:
            raise KeyboardInterrupt

    return stop


def test_figures_follow_from_the_predictions(finished):
    _, store, _, reports = finished
    metrics = store.read_json(METRICS)
    assert metrics["images"] == 12
    labels = np.array([[bool(i >> c & 1) for c in range(3)] for i in range(12)])
    for name in ("zero_shot", "t2i_pal"):
        table = store.shards(evaluate.TABLE).read(name)
        assert table.schema.equals(PREDICTIONS)
        scores = np.array(table["scores"].to_pylist(), dtype=np.float32)
        figures = metrics["methods"][name]
        assert figures["mAP"]["mean"] == pytest.approx(mean_average_precision(scores, labels), abs=1e-3)
        assert set(figures["per_class"]) == set(NAMES)
        assert reports[evaluate].notes[name] == figures["mAP"]["mean"]
    assert set(metrics["methods"]["t2i_pal"]["parts"]) == {"global", "local", "prototype"}


def test_the_bundle_predicts_what_the_evaluation_did(finished):
    recipe, store, *_ = finished
    recognizer = Recognizer.load(f"{store.uri}/bundle")
    folder = recipe.evaluate.dataset
    pictures = [Image.open(f"{folder}/{i}.png") for i in range(12)]
    table = store.shards(evaluate.TABLE).read("t2i_pal").to_pylist()
    for prediction, row in zip(recognizer.predict(pictures), table, strict=True):
        assert list(prediction.scores) == list(NAMES)
        np.testing.assert_allclose(
            list(prediction.scores.values()), row["scores"], atol=2e-2
        )  # fp16 features
        assert set(prediction.where) == set(prediction.labels)
        surplus = [prediction.scores[name] - recognizer.card.thresholds[name] for name in prediction.labels]
        assert surplus == sorted(surplus, reverse=True)
        assert all(each > 0 for each in surplus)
        for where in prediction.where.values():
            left, top, right, bottom = where.box
            assert 0 <= left < where.peak[0] < right <= 1
            assert 0 <= top < where.peak[1] < bottom <= 1


def test_the_card_says_what_the_recognizer_is(finished):
    recipe, store, *_ = finished
    card = Recognizer.load(f"{store.uri}/bundle").card
    assert card.quality["mAP"] == store.read_json(METRICS)["methods"]["t2i_pal"]["mAP"]
    assert card.preprocessing["resize_mode"] == "squash"
    assert card.provenance["recipe"] == recipe.fingerprint("bundle")
    assert set(card.thresholds) == set(card.classes) == set(NAMES)
    assert card.thresholds == store.read_json(RESULT)["thresholds"]


@pytest.mark.parametrize("name", ["recognizer.json", "recognizer.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_bundle_is_reported(copy, name, damage):
    _, store = copy
    path = store.path(f"bundle/{name}")
    if damage == "gone":
        os.remove(path)
    else:
        os.truncate(path, 50)
    with pytest.raises(UserError, match="is not a recognizer bundle"):
        Recognizer.load(f"{store.uri}/bundle")


def test_the_card_names_no_folder_of_this_machine_but_the_backbone(finished):
    _, store, *_ = finished
    card = Recognizer.load(f"{store.uri}/bundle").card
    assert os.path.isabs(card.backbone.model)
    assert "/" not in card.public().model_dump_json()


def test_the_card_names_the_file_of_captions(copy):
    recipe, store = copy
    source = AnnotatedCaptionsRecipe(path="/data/captions.json")
    other = recipe.model_copy(update={"captions": None, "annotated_captions": source})
    card = save_bundle(store, other, store.read_bytes(TUNED), store.read_json(RESULT)["thresholds"])
    assert card.provenance["captions"] == "captions.json"


def edit_card(store, **changes):
    path = store.path("bundle/recognizer.json")
    with open(path) as file:
        card = json.load(file) | changes
    with open(path, "w") as file:
        json.dump(card, file)


def test_a_bundle_of_another_format_is_refused(copy):
    _, store = copy
    edit_card(store, format=2, news=True)
    with pytest.raises(UserError, match="has format 2, and this version of t2ipal reads 1"):
        Recognizer.load(f"{store.uri}/bundle")


def test_parameters_of_another_recognizer_are_refused(copy):
    recipe, store = copy
    edit_card(store, method=recipe.tune.model_copy(update={"context": 5}).model_dump(mode="json"))
    with pytest.raises(UserError, match=r"(?s)do not fit the backbone .*size mismatch"):
        Recognizer.load(f"{store.uri}/bundle")


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
    os.remove(store.path(RESULT))
    longer = recipe.tune.model_copy(update={"context": 15, "workers": 2})
    with pytest.raises(UserError, match="a context of 15 tokens"):
        tune.run(recipe.model_copy(update={"tune": longer}), store)
