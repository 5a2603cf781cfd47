import numpy as np
import pytest
import torch

from t2ipal.method_settings import T2IPALSettings
from t2ipal.methods import Captions, Images
from t2ipal.methods.t2i_pal import T2IPal
from tests.fake_gpu import backbone_on_gpu, to_gpu
from tests.methods import formulas
from tests.methods.expected import class_features, t2i_pal_answer, t2i_pal_parts
from tests.methods.given import (
    LABELS,
    ONE_STEP,
    array,
    arrays,
    assert_scores,
    batch,
    captions,
    first_losses,
    images,
    text_features,
    weights,
)
from tests.tiny_clip import tiny_backbone
from tests.tuning.tiny_set import NAMES, tiny_method, tiny_set, tiny_settings

SWITCHES = [
    {},
    {"scale": 3.0, "k_train": 11.0, "k_test": 7.0, "mix": 0.3, "alpha": 0.7},
    {"adapter": None},
    {"adapter": "cache", "alpha": 0.6, "cache_sharpness": 2.0},
    {"heatmap": False},
    {"prototypes": False},
    {"caption_branch": False},
    {"image_branch": False},
    {"prompts": False},
    {"adapter": None, "heatmap": False, "prototypes": False},
]


def method(seed=0, **settings):
    return tiny_method("t2i_pal", tiny_settings(t2i_pal=settings), seed)


def given(**settings):
    """A method with random numbers wherever it starts with zeros or with copies."""
    tuned = method(**settings)
    if tuned.adapter is not None:
        weights(tuned.adapter)
    generator = torch.Generator().manual_seed(8)
    if tuned.prototypes is not None:
        torch.nn.init.normal_(tuned.prototypes, generator=generator)
    if tuned.cache is not None:
        torch.nn.init.normal_(tuned.cache.keys, generator=generator)
        torch.nn.init.uniform_(tuned.cache.values, generator=generator)
    return tuned


def settings_of(changes):
    return T2IPALSettings.model_validate(tiny_settings().t2i_pal.model_dump() | changes)


def test_what_is_chosen_where_the_paper_is_silent():
    own = T2IPALSettings()
    assert (own.context, own.scale, own.margin, own.k_train, own.k_test, own.mix) == (16, 4, 1, 50, 40, 0.5)
    assert (own.alpha, own.prompt_lr, own.head_lr) == (0.2, 1e-4, 1e-3)
    assert (own.adapter, own.prompts, own.heatmap, own.prototypes) == ("bottleneck", True, True, True)
    assert own.caption_branch
    assert own.image_branch


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_parts_and_answer_of_images(changes):
    own, tuned, seen = settings_of(changes), given(**changes).eval(), images()
    expected = t2i_pal_parts(tuned, arrays(seen), own, own.k_test)
    assert_scores(tuned.parts(seen), expected)
    assert_scores({"answer": tuned.scores(seen)}, {"answer": t2i_pal_answer(expected, own)})


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_scores_to_be_ranked_in_training(changes):
    own, tuned, seen, said = settings_of(changes), given(**changes), images(), captions()
    whole, local = class_features(tuned)
    expected = {}
    if own.image_branch:
        parts = t2i_pal_parts(tuned, arrays(seen), own, own.k_train)
        expected = {f"image_{name}": part for name, part in parts.items()}
    if own.caption_branch:
        h, k = arrays(said), own.k_train if own.heatmap else 0.0
        expected["caption_global"] = formulas.global_scores(h.whole, whole, own.scale)
        expected["caption_local"] = formulas.local_scores(h.tokens, local, k, own.scale, h.mask)
    terms = tuned(batch(seen, said), "tune")
    assert_scores(terms.ranked, expected)
    assert not terms.rows
    assert not terms.whole


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_loss_is_the_sum_of_all_rankings(weight):
    own = {"margin": 0.7, "class_ranking": weight, "adapter": None, "schedule": ONE_STEP}
    settings = tiny_settings(epochs=1, t2i_pal=own)
    tuned, data = tiny_method("t2i_pal", settings), tiny_set()
    whole, local = text_features(tuned)
    seen, labels = arrays(data.images.features), array(data.images.labels)
    said = [array(table[data.images.caption]) for table in data.captions.features]
    of_images = [
        formulas.global_scores(seen.whole, whole, 4),
        formulas.local_scores(seen.patches, local, 50, 4),
        formulas.prototype_scores(
            seen.patches, local, formulas.first_prototypes(seen.patches, labels, local, 50), 50, 4
        ),
    ]
    of_captions = [
        formulas.global_scores(said[0], whole, 4),
        formulas.local_scores(said[1], local, 50, 4, said[2]),
    ]
    expected = sum(formulas.ranking_loss(scores, labels, 0.7) for scores in (*of_images, *of_captions))
    expected += weight * sum(formulas.class_wise_ranking_loss(scores, labels, 0.7) for scores in of_images)
    assert first_losses(tuned, data)["tune"] == pytest.approx(expected, rel=1e-5)


def test_without_images_it_is_tai_dpt_on_captions_and_templates():
    shared = {"templates": 2, "schedule": ONE_STEP, "margin": 0.7}
    settings = tiny_settings(epochs=1, tai_dpt=shared, t2i_pal=shared | {"image_branch": False})
    losses = {name: first_losses(tiny_method(name, settings), tiny_set()) for name in ("tai_dpt", "t2i_pal")}
    assert losses["t2i_pal"] == losses["tai_dpt"]


class Shown:
    """Images in order, in two parts."""

    def in_order(self, batch, device):
        seen = images()
        for rows in (slice(0, 2), slice(2, 5)):
            yield Images(seen.whole[rows], seen.patches[rows]), LABELS[rows]


@pytest.mark.parametrize("adapter", [None, "bottleneck"])
def test_prototypes_start_at_the_mean_of_their_images(adapter):
    tuned, seen = method(adapter=adapter), arrays(images())
    if adapter:
        weights(tuned.adapter)
    _, local = text_features(tuned)
    np.testing.assert_allclose(array(tuned.prototypes), local, atol=1e-6)
    tuned.begin(tuned.phases()[0], Shown())
    places = seen.patches
    if adapter:
        places = formulas.adapted(places, array(tuned.adapter.down), array(tuned.adapter.up), 0.2)
    expected = formulas.first_prototypes(places, array(LABELS), local, 50)
    np.testing.assert_allclose(array(tuned.prototypes), expected, atol=1e-5)
    np.testing.assert_allclose(expected[1], local[1])  # no image holds the class


def test_the_cache_keeps_the_first_images_of_each_class():
    tuned, seen = method(adapter="cache", cache_size=2), array(images().whole)
    tuned.begin(tuned.phases()[0], Shown())
    x = array(images(8).whole)
    # Class 0 is held by images 0, 1 and 4, class 2 by 2 and 4; 4 holds both, and is kept for class 2 alone.
    keys = seen[[0, 1, 2, 4]]
    values = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1]]) / [3, 1, 2]
    expected = formulas.cache_scores(x, keys, values, 5.5)
    assert_scores({"cache": tuned.cache(images(8).whole)}, {"cache": expected})


def test_training_and_use_have_heatmaps_of_their_own():
    tuned = method(k_train=50.0, k_test=1.0)
    trained = tuned(batch(images()), "tune").ranked["image_local"]
    assert not torch.allclose(trained, tuned.eval().parts(images())["local"])


def test_adapter_serves_both_image_features_but_no_captions():
    tuned = method()
    before = tuned(batch(images(), captions()), "tune").ranked
    weights(tuned.adapter)
    after = tuned(batch(images(), captions()), "tune").ranked
    changed = {name for name in before if not torch.allclose(before[name], after[name])}
    assert changed == {"image_global", "image_local", "image_prototype"}


def test_the_heatmap_is_that_of_adapted_patches_before_the_softmax():
    tuned, seen = given().eval(), arrays(images())
    places = formulas.adapted(seen.patches, array(tuned.adapter.down), array(tuned.adapter.up), 0.2)
    expected = np.stack([formulas.cosines(text_features(tuned)[1], row) for row in places])
    assert_scores({"heatmap": tuned.heatmap(images())}, {"heatmap": expected})


def test_prompts_are_encoded_once_in_use_and_anew_in_training(monkeypatch):
    tuned, calls = method(), []
    encode = type(tiny_backbone("resnet")).shared_prompts  # of both contexts at once
    monkeypatch.setattr(
        type(tiny_backbone("resnet")), "shared_prompts", lambda *given: calls.append(1) or encode(*given)
    )
    tuned.eval()
    tuned.scores(images()), tuned.scores(images()), tuned.heatmap(images())
    assert len(calls) == 1
    tuned.train()
    tuned(batch(images()), "tune"), tuned(batch(images()), "tune")
    assert len(calls) == 3
    with torch.no_grad():
        tuned.prompts.global_context.add_(1.0)
    before = tuned(batch(images()), "tune").ranked["image_global"]
    torch.testing.assert_close(tuned.eval().parts(images())["global"], before.detach())


def test_the_first_state_follows_from_the_seed():
    one, same, other = (method(seed).prompts for seed in (1, 1, 2))
    assert torch.equal(one.global_context, same.global_context)
    assert not torch.equal(one.global_context, other.global_context)
    assert not torch.equal(one.global_context, one.local_context)


@pytest.mark.parametrize("adapter", ["bottleneck", "cache"])
@pytest.mark.parametrize("tower", ["resnet", "vit"])
def test_it_is_built_trained_and_used_on_a_gpu(tower, adapter):
    settings = tiny_settings(t2i_pal={"adapter": adapter})
    with backbone_on_gpu(tower, NAMES, 4) as backbone:
        tuned = T2IPal(backbone, NAMES, settings, 0)  # its parameters are on the CPU
        to_gpu(tuned)
        seen = Images(*backbone.pixels(torch.zeros(2, 3, 64, 64))[:2])
        labels = torch.ones(2, 3, dtype=torch.bool, device="cuda")
        if adapter == "bottleneck":  # the cache looks at labels, which have no values here
            tuned.begin(tuned.phases()[0], OnGPU(seen, labels))
        said = Captions(*(each.to("cuda") for each in captions(2)))
        scores = tuned(batch(seen, said)._replace(labels=labels), "tune").ranked
        tuned.eval()
        for each in (*scores.values(), tuned.scores(seen), tuned.heatmap(seen)):
            assert each.device.type == "cuda"


class OnGPU:
    def __init__(self, *batch):
        self._batch = batch

    def in_order(self, batch, device):
        return [self._batch]
