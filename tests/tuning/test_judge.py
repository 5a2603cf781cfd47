import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from t2ipal.errors import UserError
from t2ipal.evaluation.fitted import fit
from t2ipal.images_recipe import AgreementRecipe
from t2ipal.stages import features, tune
from t2ipal.tables import AGREEMENT as SCHEMA
from t2ipal.tuning import agreement
from t2ipal.tuning.judge import judge, ranks, similarities
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.source import AGREEMENT, SYNTHETIC, image_keys
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images
from tests.tiny_clip import tiny_backbone
from tests.whole_table import read_all

IMAGES = 46


@pytest.fixture
def run(tmp_path):
    recipe, store = finished_images(tmp_path)
    compute_features(recipe, store)
    return recipe, store


def filtered(recipe, **settings):
    section = AgreementRecipe(**settings)
    return recipe.model_copy(update={"images": recipe.images.model_copy(update={"agreement": section})})


def measured_again(recipe, store):
    """Similarity of every image, from the tables."""
    images, captions = (read_all(store.shards(each)) for each in (SYNTHETIC, "caption_features"))
    texts = dict(zip(captions["caption_id"].to_pylist(), captions["global"].to_pylist(), strict=True))
    names = images["image_id"].to_pylist()
    keys = image_keys(names, SYNTHETIC)
    pairs = zip(images["global"].to_pylist(), keys, strict=True)
    return dict(zip(names, [float(np.dot(a, texts[key])) for a, key in pairs], strict=True))


def verdicts(store):
    return {row["image_id"]: row for row in read_all(store.shards(AGREEMENT)).to_pylist()}


def test_a_share_of_the_whole_run_is_dropped(run):
    recipe, store = filtered(run[0], lowest=0.2), run[1]
    judge(recipe, store)
    table = read_all(store.shards(AGREEMENT))
    assert table.schema.equals(SCHEMA)
    found, expected = verdicts(store), measured_again(recipe, store)
    assert {name: row["similarity"] for name, row in found.items()} == pytest.approx(expected, abs=1e-3)
    least_similar = sorted(expected, key=expected.get)[: int(0.2 * IMAGES)]
    gone = {name for name, row in found.items() if not row["kept"]}
    assert gone == set(least_similar)
    assert agreement.dropped(recipe, store) == len(gone) == 9
    for row in found.values():
        assert row["rank"] is None
        assert row["reason"] == ("" if row["kept"] else "similarity to its caption is among the lowest 20 %")


def test_classes_that_the_caption_names_must_be_among_the_best(run):
    recipe, store = filtered(run[0], top=1), run[1]
    judge(recipe, store)
    rows = verdicts(store).values()
    assert {row["kept"] for row in rows} == {True, False}
    assert all(row["kept"] == (row["rank"] == 1) for row in rows)
    assert {row["reason"] for row in rows if row["rank"] == 2} == {
        "a class that its caption names has rank 2"
    }


def test_verdicts_are_the_same_in_any_shards(run, tmp_path):
    recipe, store = filtered(run[0], lowest=0.3, top=2), run[1]
    judge(recipe, store)
    whole, other = finished_images(tmp_path / "other", images={"shard_rows": 3, "per_caption": 2})
    compute_features(whole, other)
    judge(filtered(whole, lowest=0.3, top=2), other)
    found, expected = verdicts(other), verdicts(store)
    assert found.keys() == expected.keys()
    for name, row in found.items():
        # Encoded in other batches, the features differ in their last bits.
        assert row.pop("similarity") == pytest.approx(expected[name].pop("similarity"), abs=1e-4)
    assert found == expected


def test_they_are_made_once_and_again_when_something_changed(run):
    recipe, store = filtered(run[0], lowest=0.2), run[1]
    assert agreement.pending(run[0], store) == []  # without a filter
    names = [shard.name for shard in agreement.planned_images(recipe, store)]
    assert agreement.pending(recipe, store) == features.pending(recipe, store) == names
    assert tune.pending(recipe, store) == ["tune"]
    report = features.run(recipe, store)
    assert report.notes["disagreeing"] == 9
    assert not report.already_complete
    assert features.pending(recipe, store) == features.tuning_pending(recipe, store) == []
    assert features.run(recipe, store).already_complete
    assert agreement.pending(filtered(run[0], lowest=0.3), store) == names
    shards = store.shards("caption_features")
    first = shards.read("captions-00000")
    shards.write("captions-00000", first.slice(1), shards.done()["captions-00000"].extra)
    assert agreement.pending(recipe, store) == names
    shards.delete(["captions-00000"])
    assert agreement.pending(recipe, store) == []  # features come first


def test_tuning_and_what_is_fitted_leave_out_what_disagrees(run):
    plain, store = run
    recipe = filtered(plain, lowest=0.2)
    judge(recipe, store)
    gone = agreement.left_out(recipe, store, SYNTHETIC)
    assert agreement.left_out(recipe, store, "train_features") == frozenset()
    held = {"holdout": 0.0}
    for each, left in ((plain, IMAGES), (recipe, IMAGES - len(gone))):
        every = each.model_copy(update={"tune": each.tune.model_copy(update=held)})
        data = load_tuning_set(every, store, SYNTHETIC, tiny_backbone("resnet"), with_templates=False)
        assert len(data.images.labels) == left
        assert data.captions.count == 24  # what the images do not show, the captions still say
    method = Trial.of(recipe, store).build(tiny_backbone("resnet"))
    before = fit(recipe, store, method, SYNTHETIC).to_json()
    assert before != fit(plain, store, method, SYNTHETIC).to_json()
    spoil(store, gone)
    assert fit(recipe, store, method, SYNTHETIC).to_json() == before


def spoil(store, names):
    """Turn the features of some images round."""
    shards = store.shards(SYNTHETIC)
    for shard, manifest in shards.done().items():
        table = shards.read(shard)
        rows = table.to_pylist()
        for row in rows:
            if row["image_id"] in names:
                row["global"] = [-value for value in row["global"]]
        shards.write(shard, table.from_pylist(rows, schema=table.schema), manifest.extra)


def test_a_tuned_result_belongs_to_its_filter(run):
    plain, store = run
    filters = [filtered(plain, lowest=share) for share in (0.1, 0.4)]
    origins = [Trial.of(plain, store).origin()]
    for recipe in filters:
        judge(recipe, store)
        origins.append(Trial.of(recipe, store).origin())
    assert len({origin["data"] for origin in origins}) == 3


def test_a_filter_that_leaves_nothing(run):
    recipe, store = run
    shards = store.shards(SYNTHETIC)
    for name, manifest in shards.done().items():
        table = shards.read(name)
        # Of all images the labels that nobody would see in them: the class that is least similar.
        rows = [row | {"labels": [worst_class(recipe, row)]} for row in table.to_pylist()]
        shards.write(name, table.from_pylist(rows, schema=table.schema), manifest.extra)
    with pytest.raises(UserError, match=r"images\.agreement leaves none of the 46 images"):
        judge(filtered(recipe, top=1), store)


def worst_class(recipe, row):
    sentences = [recipe.methods.zero_shot.template.replace("{}", name) for name in recipe.vocabulary]
    scores = tiny_backbone("resnet").sentences(sentences).whole @ torch.tensor(row["global"])
    return int(scores.argmin())


def test_similarity_is_that_of_the_own_caption():
    images, captions = (normalize(torch.randn(5, 8), dim=1) for _ in range(2))
    assert torch.allclose(similarities(images, captions), (images @ captions.T).diagonal(), atol=1e-6)


def test_rank_counts_the_classes_that_are_not_named():
    classes = torch.eye(4)
    images = torch.tensor([[0.9, 0.7, 0.5, 0.1]] * 5)
    named = torch.tensor(
        [
            [True, False, False, False],
            [False, False, True, False],
            [True, True, True, False],  # those that are named do not stand in each other's way
            [True, False, False, True],
            [False, False, False, False],
        ]
    )
    assert ranks(images, classes, named).tolist() == [1, 3, 1, 3, 1]
