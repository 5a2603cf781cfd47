"""Images kept from tuning: nothing learns from them, and what is fitted to scores is fitted on them alone."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from t2ipal.clip.feature_tables import read_images
from t2ipal.evaluation import scoring
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.fitted import Fitted, fit
from t2ipal.evaluation.scoring import score
from t2ipal.evaluation.thresholds import best_f1_thresholds
from t2ipal.methods.standardise import Standardisation
from t2ipal.stages import features, tune
from t2ipal.tuning import feature_chunks
from t2ipal.tuning.feature_chunks import template_sentences
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.session import run_tuning
from t2ipal.tuning.source import LABELLED, SYNTHETIC, image_keys, is_held_out
from t2ipal.tuning.trial import Trial
from tests.finished_images import NAMES, compute_features
from tests.tiny_clip import tiny_backbone
from tests.whole_table import read_all


def with_holdout(recipe, share):
    return recipe.model_copy(update={"tune": recipe.tune.model_copy(update={"holdout": share})})


def held_captions(recipe, store):
    names = read_all(store.shards("caption_features"))["caption_id"].to_pylist()
    return {name for name in names if is_held_out(name, recipe)}


def tuning_set(recipe, store, table=SYNTHETIC, with_templates=False):
    return load_tuning_set(recipe, store, table, tiny_backbone("resnet"), with_templates)


def test_a_share_of_the_captions_is_kept_with_all_its_images(finished):
    recipe, store, *_ = finished
    held = held_captions(recipe, store)
    assert 2 < len(held) < 12  # of 24 about a quarter
    keys = image_keys(read_all(store.shards("features"))["image_id"].to_pylist(), SYNTHETIC)
    data = tuning_set(recipe, store)
    assert (
        len(data.images.labels) == sum(key not in held for key in keys) == 46 - sum(k in held for k in keys)
    )
    assert data.captions.count == 24 - len(held)
    more = held_captions(with_holdout(recipe, 0.5), store)
    assert held < more  # a larger share keeps the same ones, and others
    assert held_captions(with_holdout(recipe, 0.0), store) == set()
    assert held_captions(recipe.model_copy(update={"seed": 1}), store) != held


def test_captions_that_are_not_painted_teach_by_their_text(finished):
    recipe, store, *_ = finished
    images = recipe.images.model_copy(update={"captions": 10})  # of 24, those of the first shard
    data = tuning_set(recipe.model_copy(update={"images": images}), store)
    held = held_captions(recipe, store)
    painted = [f"c{i:08d}" for i in range(10) if i != 5]
    assert len(data.images.labels) == 2 * sum(name not in held for name in painted)
    assert data.captions.count == 24 - len(held)
    assert torch.equal(data.captions.labels[data.images.caption], data.images.labels)


def test_the_tuning_set_has_the_features_of_what_is_not_kept(finished):
    recipe, store, *_ = finished
    held, data = held_captions(recipe, store), tuning_set(recipe, store)
    table = read_all(store.shards("features"))
    rows = [row for row in table.to_pylist() if row["image_id"].rpartition("-")[0] not in held]
    for n, row in enumerate(rows):
        assert data.images.features.whole[n].tolist() == row["global"]
        assert data.images.labels[n].nonzero().flatten().tolist() == row["labels"]
    said = {row["caption_id"]: row for row in read_all(store.shards("caption_features")).to_pylist()}
    for n, row in enumerate(rows):
        place = data.images.caption[n]
        assert (
            data.captions.features.whole[place].tolist() == said[row["image_id"].rpartition("-")[0]]["global"]
        )


def test_template_sentences_follow_the_captions(finished):
    recipe, store, *_ = finished
    sentences = template_sentences(recipe, NAMES)
    assert sentences[:3] == [f"a photo of a {name}" for name in NAMES]
    assert sentences[3:] == [each for t in ("a photo of a {}", "the {} and the tree") for each in (
        t.replace("{}", name) for name in NAMES)]  # fmt: skip
    plain, data = tuning_set(recipe, store), tuning_set(recipe, store, with_templates=True)
    count = plain.captions.count
    assert data.captions.count == count
    assert torch.equal(data.captions.labels[:count], plain.captions.labels)
    assert torch.equal(data.captions.labels[count:], torch.eye(3, dtype=torch.bool).repeat(3, 1))
    expected = tiny_backbone("resnet").sentences(sentences)
    torch.testing.assert_close(data.captions.features.whole[count:], expected.whole.half())
    assert torch.equal(data.captions.features.mask[count:].sum(dim=1), expected.mask.sum(dim=1))
    _, kept, kept_mask, _ = captions_of(plain)
    _, tokens, mask, _ = captions_of(data)
    length = kept.shape[1]
    assert torch.equal(tokens[:count, :length], kept)
    assert torch.equal(mask[:count, :length], kept_mask)
    assert not mask[:count, length:].any()


def spoil(store, table, key, rows):
    """Turn the features of some rows round."""
    shards = store.shards(table)
    for name, manifest in shards.done().items():
        content = shards.read(name)
        turned = [
            {**row, "global": [-x for x in row["global"]]} if row[key] in rows else row
            for row in content.to_pylist()
        ]
        shards.write(name, pa.Table.from_pylist(turned, schema=content.schema), manifest.extra)


def image_names(store, chosen):
    names = read_all(store.shards("features"))["image_id"].to_pylist()
    return {name for name in names if chosen(name.rpartition("-")[0])}


@pytest.mark.parametrize("method", ["t2i_pal", "tai_dpt", "pvp", "t2i_pal_pvp"])
def test_tuning_never_sees_what_is_kept(copy, method):
    recipe, store = copy

    def tuned():
        trial = Trial(recipe, store, method, 0, store, f"trials/{method}")
        run_tuning(trial)
        return store.read_bytes(trial.tuned), store.read_json(trial.result)

    before = tuned()
    held = held_captions(recipe, store)
    spoil(store, "features", "image_id", image_names(store, lambda caption: caption in held))
    spoil(store, "caption_features", "caption_id", held)
    after = tuned()
    assert before[0] == after[0]
    assert before[1]["log"] == after[1]["log"]
    assert before[1]["thresholds"] != after[1]["thresholds"]
    assert before[1]["calibration"] != after[1]["calibration"]
    spoil(store, "features", "image_id", image_names(store, lambda caption: caption not in held))
    spoil(store, "caption_features", "caption_id", set(map("c{:08d}".format, range(24))) - held)
    assert tuned()[0] != before[0]


def test_thresholds_and_calibration_are_fitted_on_what_is_kept_alone(copy):
    recipe, store = copy
    trial = Trial.of(recipe, store)
    method = trial.load(tiny_backbone("resnet"))
    held = held_captions(recipe, store)
    table = read_all(store.shards("features"))
    keys = image_keys(table["image_id"].to_pylist(), SYNTHETIC)
    rows = np.array([key in held for key in keys])
    scores, _ = score(method, *read_images(table))
    labels = np.zeros((46, 3), dtype=np.bool_)
    for row, found in zip(labels, table["labels"].to_pylist(), strict=True):
        row[found] = True
    expected = Fitted(
        best_f1_thresholds(scores[rows], labels[rows]), Calibration.fit(scores[rows], labels[rows])
    )
    found = fit(recipe, store, method, SYNTHETIC)
    result = store.read_json(trial.result)
    for fitted in (found, Fitted.from_json(result)):
        np.testing.assert_allclose(fitted.thresholds, expected.thresholds, atol=1e-6)
        np.testing.assert_allclose(fitted.calibration.slope, expected.calibration.slope, rtol=1e-3)
    everything = fit(with_holdout(recipe, 0.0), store, method, SYNTHETIC)
    np.testing.assert_allclose(everything.thresholds, best_f1_thresholds(scores, labels), atol=1e-6)
    # What tuning saw may be anything.
    spoil(store, "features", "image_id", image_names(store, lambda caption: caption not in held))
    again = fit(recipe, store, method, SYNTHETIC)
    assert again.to_json() == found.to_json()
    assert fit(with_holdout(recipe, 0.0), store, method, SYNTHETIC).to_json() != everything.to_json()


def test_standardisation_takes_its_statistics_from_all_images_and_thresholds_follow_it(finished):
    recipe, store, *_ = finished
    method = Trial.of(recipe, store).load(tiny_backbone("resnet"))
    table = read_all(store.shards("features"))
    scores = torch.from_numpy(score(method, *read_images(table))[0])
    expected = Standardisation.fit(scores)
    found = fit(recipe, store, method, SYNTHETIC, standardise=True)
    torch.testing.assert_close(found.standardisation.mean, expected.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.standardisation.std, expected.std, atol=1e-5, rtol=0)
    held = held_captions(recipe, store)
    rows = np.array([key in held for key in image_keys(table["image_id"].to_pylist(), SYNTHETIC)])
    labels = np.array([[c in found for c in range(3)] for found in table["labels"].to_pylist()])
    thresholds = best_f1_thresholds(expected(scores).numpy()[rows], labels[rows])
    np.testing.assert_allclose(found.thresholds, thresholds, atol=1e-4)


@pytest.fixture
def scored(monkeypatch):
    """Grows by the number of images of each shard that is scored."""
    counts = []
    read = scoring.read_images
    monkeypatch.setattr(scoring, "read_images", lambda rows: counts.append(rows.num_rows) or read(rows))
    return counts


@pytest.mark.parametrize(
    ("holdout", "standardise", "all_of_them"), [(0.25, False, False), (0.25, True, True), (0.0, False, True)]
)
def test_only_what_is_fitted_on_is_scored(finished, scored, holdout, standardise, all_of_them):
    recipe, store, *_ = finished
    names = read_all(store.shards("features"))["image_id"].to_pylist()
    held = sum(is_held_out(key, recipe) for key in image_keys(names, SYNTHETIC))
    assert 0 < held < len(names)
    method = Trial.of(recipe, store).load(tiny_backbone("resnet"))
    fit(with_holdout(recipe, holdout), store, method, SYNTHETIC, standardise)
    assert sum(scored) == (len(names) if all_of_them else held)


@pytest.mark.parametrize(("standardise", "count"), [(False, 2), (True, 7)])
def test_and_of_photos_only_those_that_something_is_known_of(copy, scored, standardise, count):
    recipe, store = copy
    compute_features(recipe, store, [features.TRAIN])
    photos = [f"t{i}.png" for i in range(12)]
    held = [name for name in photos if is_held_out(name, recipe)]
    told = held[:2] + [name for name in photos if name not in held][:5]

    def known(labels, ids):
        return np.isin(ids, told)[:, None] & np.ones_like(labels)

    method = Trial.of(recipe, store).load(tiny_backbone("resnet"))
    fit(recipe, store, method, LABELLED, standardise, known)
    assert sum(scored) == count


def test_a_photo_is_kept_or_not_by_itself(copy):
    recipe, store = copy
    compute_features(recipe, store, [features.TRAIN])
    names = [f"t{i}.png" for i in range(12)]
    held = [name for name in names if is_held_out(name, recipe)]
    assert 0 < len(held) < 12
    data = tuning_set(recipe, store, LABELLED)
    assert data.captions is None
    assert data.images.caption is None
    expected = [[c for c in range(3) if i >> c & 1] for i, name in enumerate(names) if name not in held]
    assert [row.nonzero().flatten().tolist() for row in data.images.labels] == expected


def test_where_a_run_is_too_small_to_keep_any_all_are_fitted_on(copy):
    recipe, store = copy
    none = with_holdout(recipe, 1e-9)
    assert held_captions(none, store) == set()
    method = Trial.of(recipe, store).load(tiny_backbone("resnet"))
    assert (
        fit(none, store, method, SYNTHETIC).to_json()
        == fit(with_holdout(recipe, 0.0), store, method, SYNTHETIC).to_json()
    )


def test_another_share_is_another_tuning(copy):
    recipe, store = copy
    assert tune.pending(recipe, store) == []
    assert tune.pending(with_holdout(recipe, 0.3), store) == ["tune"]


def test_what_learns_from_captions_alone_reads_no_images(finished):
    recipe, store, *_ = finished
    arguments = (recipe, store, SYNTHETIC, tiny_backbone("resnet"))
    alone = load_tuning_set(*arguments, with_templates=False, with_images=False)
    both = load_tuning_set(*arguments, with_templates=False)
    assert alone.images is None
    assert len(alone) == alone.captions.count == both.captions.count
    for one, other in zip(captions_of(alone), captions_of(both), strict=True):
        assert torch.equal(one, other)


def test_templates_are_no_longer_than_they_are_and_may_come_in_parts(finished, monkeypatch):
    recipe, store, *_ = finished
    arguments = (recipe, store, SYNTHETIC, tiny_backbone("resnet"))
    whole = captions_of(load_tuning_set(*arguments, with_templates=True))
    monkeypatch.setattr(feature_chunks, "BATCH", 2)
    parts = captions_of(load_tuning_set(*arguments, with_templates=True))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
    _, _, mask, _ = whole
    assert mask.any(dim=0).all()  # no place that nothing fills


def captions_of(data):
    """Features, mask and labels, in memory of their own."""
    rows = torch.arange(len(data.captions.labels))
    tables = (*data.captions.features, data.captions.labels)
    return [table[rows] for table in tables]
