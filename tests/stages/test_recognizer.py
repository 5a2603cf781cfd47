"""Features, tuning, evaluation and bundle, one after the other, in this process: what they leave."""

import io
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from t2ipal import Recognizer
from t2ipal.bundle import save_bundle
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe
from t2ipal.clip import feature_tables
from t2ipal.errors import UserError
from t2ipal.evaluation import scoring
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.fitted import Fitted
from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.run_files import METRICS
from t2ipal.stages import evaluate, features
from t2ipal.tables import CAPTION_FEATURES, FEATURES, PREDICTIONS, TEST_FEATURES
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.source import SYNTHETIC
from t2ipal.tuning.trial import Trial
from tests.finished_images import NAMES
from tests.layouts import Photo, write_voc
from tests.tiny_clip import EMBED_DIM, tiny_backbone, write_tiny_clip
from tests.whole_table import read_all

METHODS = ("zero_shot", "zero_shot_standardised", "t2i_pal")


def test_every_kept_image_has_its_features(finished):
    _, store, *_ = finished
    table, images = read_all(store.shards("features")), read_all(store.shards("images"))
    assert table.schema.equals(FEATURES)
    kept = [row for row in images.to_pylist() if row["kept"]]
    assert table["image_id"].to_pylist() == [row["image_id"] for row in kept]
    assert len(kept) == 46
    row = table.to_pylist()[3]
    expected = tiny_backbone("resnet").images([Image.open(io.BytesIO(kept[3]["image"]))])
    np.testing.assert_allclose(row["global"], expected.whole[0], atol=1e-3)
    np.testing.assert_allclose(np.reshape(row["patches"], (4, EMBED_DIM)), expected.patches[0], atol=1e-3)
    assert row["labels"] == kept[3]["labels"]


def test_captions_and_the_test_set_have_features_too(finished):
    _, store, *_ = finished
    captions = read_all(store.shards("caption_features"))
    assert captions.schema.equals(CAPTION_FEATURES)
    assert captions.num_rows == 24
    tested = read_all(store.shards("test_features"))
    assert tested.schema.equals(TEST_FEATURES)
    assert tested["ignored"].to_pylist() == [[]] * 12
    assert tested["image_id"].to_pylist() == [f"{i}.png" for i in range(12)]
    assert tested["labels"].to_pylist()[5] == [0, 2]


def test_ignored_classes_reach_the_table(copy, tmp_path):
    recipe, store = copy
    photos = [Photo(["fish"], difficult=["tree", "fish"]), Photo(difficult=["house"])]
    write_voc(tmp_path / "voc", "test", photos)
    other = recipe.with_evaluate(dataset=str(tmp_path / "voc"))
    table = features.FeatureExtractor(other, store)._photos("test", "test-00000")
    assert table["labels"].to_pylist() == [[0], []]
    assert table["ignored"].to_pylist() == [[2], [1]]


def test_the_tuning_set_puts_images_and_captions_together(finished):
    recipe, store, *_ = finished
    all_of_them = recipe.model_copy(update={"tune": recipe.tune.model_copy(update={"holdout": 0.0})})
    data = load_tuning_set(all_of_them, store, SYNTHETIC, tiny_backbone("resnet"), with_templates=False)
    images = [row for row in read_all(store.shards("images")).to_pylist() if row["kept"]]
    captions = read_all(store.shards("captions"))["text"].to_pylist()
    assert len(data.images.labels) == 46
    assert (data.captions.count, len(data.captions.labels)) == (24, 24)
    learned = data.captions.features
    for n in (0, 11, 45):
        place = data.images.caption[n]
        assert data.images.labels[n].nonzero().flatten().tolist() == images[n]["labels"]
        assert data.captions.labels[place].equal(data.images.labels[n])
        text = tiny_backbone("resnet").sentences([captions[int(images[n]["caption_id"][1:])]])
        torch.testing.assert_close(learned.whole[place].float(), text.whole[0], atol=1e-3, rtol=0)
        assert learned.mask[place].sum() == text.mask.sum()


def test_evaluation_holds_one_shard_at_a_time(copy, monkeypatch):
    """Scores of single rows are the same in any shards."""
    recipe, store = copy
    before = {name: store.shards(evaluate.TABLE).read(name) for name in METHODS}
    rows = store.shards("test_features").read("test-00000")
    for i in range(4):
        store.shards("test_features").write(f"test-{i:05d}", rows.slice(3 * i, 3))
    largest = []
    read = feature_tables.read_images
    monkeypatch.setattr(scoring, "read_images", lambda table: largest.append(table.num_rows) or read(table))
    evaluate._evaluate(recipe, store)
    assert largest
    assert max(largest) <= 8  # the rows of a shard of images
    for name, whole in before.items():
        again = store.shards(evaluate.TABLE).read(name)
        assert again["image"] == whole["image"]
        np.testing.assert_allclose(again["scores"].to_pylist(), whole["scores"].to_pylist(), atol=1e-5)
        assert again["labels"] == whole["labels"]


def test_figures_follow_from_the_predictions(finished):
    _, store, _, reports = finished
    metrics = store.read_json(METRICS)
    assert metrics["images"] == 12
    assert tuple(metrics["methods"]) == METHODS
    labels = np.array([[bool(i >> c & 1) for c in range(3)] for i in range(12)])
    for name in METHODS:
        table = store.shards(evaluate.TABLE).read(name)
        assert table.schema.equals(PREDICTIONS)
        scores = np.array(table["scores"].to_pylist(), dtype=np.float32)
        figures = metrics["methods"][name]
        assert figures["mAP"]["mean"] == pytest.approx(mean_average_precision(scores, labels), abs=1e-3)
        assert set(figures["per_class"]) == set(NAMES)
        assert 0 < figures["ECE"] < 1
        assert reports[evaluate].notes[name] == figures["mAP"]["mean"]
    assert set(metrics["methods"]["t2i_pal"]["parts"]) == {"global", "local", "prototype"}


def test_standardised_scores_are_those_of_the_method_made_comparable(finished):
    _, store, *_ = finished
    plain, standardised = (
        np.array(store.shards(evaluate.TABLE).read(name)["scores"].to_pylist()) for name in METHODS[:2]
    )
    rows = (plain - plain.mean(axis=1, keepdims=True)) / plain.std(axis=1, keepdims=True)
    # What is left between the two is one line for each class.
    for c in range(3):
        slope, intercept = np.polyfit(rows[:, c], standardised[:, c], 1)
        assert slope > 0
        np.testing.assert_allclose(slope * rows[:, c] + intercept, standardised[:, c], atol=1e-3)


def test_the_bundle_predicts_what_the_evaluation_did(finished):
    recipe, store, *_ = finished
    recognizer = Recognizer.load(f"{store.uri}/bundle")
    folder = recipe.evaluate.dataset
    pictures = [Image.open(f"{folder}/{i}.png") for i in range(12)]
    table = store.shards(evaluate.TABLE).read("t2i_pal").to_pylist()
    line = Calibration.from_json(recognizer.card.calibration)
    for prediction, row in zip(recognizer.predict(pictures), table, strict=True):
        assert list(prediction.scores) == list(NAMES)
        raw = np.array(row["scores"])
        likely = line.probabilities(raw[None])[0]
        np.testing.assert_allclose(list(prediction.scores.values()), likely, atol=5e-3)  # fp16 features
        labels = prediction.labels
        assert {NAMES.index(label.name) for label in labels} == set(row["labels"])
        assert [label.score for label in labels] == sorted((label.score for label in labels), reverse=True)
        for label in labels:
            assert label.score == prediction.scores[label.name] > label.threshold
            assert not label.zero_shot
            left, top, right, bottom = label.where.box
            assert 0 <= left < label.where.peak[0] < right <= 1
            assert 0 <= top < label.where.peak[1] < bottom <= 1


def test_the_bundle_measures_what_the_evaluation_did(finished):
    _, store, *_ = finished
    recognizer = Recognizer.load(f"{store.uri}/bundle")
    outcome = recognizer.assess(store.shards("test_features"), ["test-00000"])
    assert outcome.predictions().equals(store.shards(evaluate.TABLE).read("t2i_pal"))
    figures = store.read_json(METRICS)["methods"]["t2i_pal"]
    for name in ("CF1", "OF1", "ECE"):
        assert outcome.figures(NAMES)[name] == pytest.approx(figures[name], abs=1e-3)


def test_the_card_says_what_the_recognizer_is(finished):
    recipe, store, *_ = finished
    card = Recognizer.load(f"{store.uri}/bundle").card
    result = store.read_json(Trial.of(recipe, store).result)
    assert card.quality["mAP"] == store.read_json(METRICS)["methods"]["t2i_pal"]["mAP"]
    assert card.preprocessing["resize_mode"] == "squash"
    assert card.provenance["recipe"] == recipe.fingerprint("bundle")
    assert (card.method, card.settings) == ("t2i_pal", recipe.methods)
    assert tuple(card.thresholds) == tuple(card.classes) == NAMES
    assert list(card.thresholds.values()) == result["thresholds"]
    assert card.calibration == result["calibration"]


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
    trial = Trial.of(recipe, store)
    fitted = Fitted.from_json(store.read_json(trial.result))
    card = save_bundle(store, other, store.read_bytes(trial.tuned), fitted)
    assert card.provenance["captions"] == "captions.json"


def edit_card(store, **changes):
    path = store.path("bundle/recognizer.json")
    with open(path) as file:
        card = json.load(file) | changes
    with open(path, "w") as file:
        json.dump(card, file)


@pytest.mark.parametrize("other", [2, 4])
def test_a_bundle_of_another_format_is_refused(copy, other):
    _, store = copy
    edit_card(store, format=other, news=True)
    with pytest.raises(UserError, match=f"has format {other}, and this version of t2ipal reads 3"):
        Recognizer.load(f"{store.uri}/bundle")


def test_parameters_of_another_recognizer_are_refused(copy):
    recipe, store = copy
    settings = recipe.methods.model_dump(mode="json")
    settings["t2i_pal"]["context"] = 5
    edit_card(store, settings=settings)
    with pytest.raises(UserError, match=r"(?s)do not fit its card.*size mismatch"):
        Recognizer.load(f"{store.uri}/bundle")
    edit_card(store, settings=recipe.methods.model_dump(mode="json"), method="tai_dpt")
    with pytest.raises(UserError, match=r"(?s)do not fit its card.*[Uu]nexpected key"):
        Recognizer.load(f"{store.uri}/bundle")


def test_parameters_of_another_bundle_are_refused(copy):
    _, store = copy
    edit_card(store, parameters_sha256="0" * 64)
    with pytest.raises(UserError, match=r"is not the file that its recognizer\.json was written with"):
        Recognizer.load(f"{store.uri}/bundle")


def test_another_backbone_of_the_same_shape_is_refused(copy, tmp_path):
    _, store = copy
    other = write_tiny_clip(tmp_path / "other", "resnet", seed=1)
    card = json.loads(store.read_bytes("bundle/recognizer.json"))
    edit_card(store, backbone=card["backbone"] | {"model": str(other)})
    with pytest.raises(UserError, match=r"the weights of the backbone .* are not those that .* was tuned on"):
        Recognizer.load(f"{store.uri}/bundle")
