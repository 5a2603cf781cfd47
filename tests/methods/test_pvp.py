import math

import numpy as np
import pytest
import torch

from t2ipal.method_settings import PVPSettings
from tests.methods import formulas
from tests.methods.expected import pvp_answer, pvp_parts, visual_features
from tests.methods.given import (
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
from tests.tiny_clip import EMBED_DIM, tiny_backbone
from tests.tuning.tiny_set import PIXELS, tiny_method, tiny_set, tiny_settings

SEED, PLACES, TOTAL = 5, [1, 4, 0], 7  # this rank's rows of a step
TOKENS = 6
SWITCHES = [
    {},
    {"scale": 3.0, "k_train": 11.0, "k_test": 7.0, "visual_k_train": 5.0, "visual_k_test": 13.0, "mix": 0.3},
    {"alpha": 0.7, "reduction": 4, "dropout": 0.2, "noise": 0.5},
    {"dropout": 0.0},
    {"noise": 0.0},
    {"adapter": False},
    {"global_token": False},
    {"contrast_scale": "exp", "contrast_reduction": "mean"},
    {"contrast": 0.0},
    {"visual_prompts": False},
    {"text_prompts": False},
]


def given(**settings):
    """A method whose adapters do something."""
    tuned = tiny_method("pvp", tiny_settings(pvp=settings))
    if tuned.text_adapter is not None:
        weights(tuned.text_adapter)
        with torch.no_grad():
            tuned.image_adapter.up.copy_(-tuned.text_adapter.up)
    return tuned


def settings_of(changes):
    return PVPSettings.model_validate(tiny_settings().pvp.model_dump() | changes)


class Drawn:
    """The random numbers of a step, drawn in the order in which the method uses them."""

    def __init__(self):
        self._generator = torch.Generator().manual_seed(SEED)

    def noise(self, *shape):
        """Of this rank's rows, from those of the whole batch."""
        return array(torch.randn(TOTAL, *shape, generator=self._generator))[PLACES]

    def kept(self, rate, count, width):
        """Factors of dropout: nothing of what is dropped, the rest larger by as much."""
        drawn = array(torch.rand(count, width, generator=self._generator))
        return np.where(drawn < rate, 0.0, 1 / (1 - rate))


def test_the_authors_numbers_are_the_defaults_but_for_their_warm_up_rates():
    own = PVPSettings()
    assert (own.context, own.scale, own.margin) == (16, 4, 1)
    assert (own.k_train, own.k_test, own.visual_k_train, own.visual_k_test) == (50, 40, 40, 50)
    assert (own.alpha, own.reduction, own.dropout, own.noise) == (0.4, 1, 0.6, 0.04)
    assert (own.local_weight, own.contrast, own.contrast_scale, own.contrast_reduction) == (
        0.01,
        1,
        "raw",
        "sum",
    )
    assert (own.prompt_lr, own.prompt_warmup_lr, own.adapter_lr, own.templates) == (5e-5, 5e-5, 1e-3, 200)
    assert (own.global_token, own.mix) == (True, 0.5)
    first = own.pretrain
    assert (first.space, first.positions, first.lr, first.noise, first.k) == ("pixels", True, 0.1, 0.04, 40)
    assert (first.local_weight, first.templates) == (0.1, 400)
    assert (first.schedule.epochs, first.schedule.horizon) == (40, 100)
    for schedule in (own.schedule, first.schedule):
        assert (schedule.optimizer, schedule.momentum, schedule.weight_decay) == ("sgd", 0.9, 5e-4)
        assert (schedule.batch, schedule.warmup_epochs) == (512, 1)


@pytest.mark.parametrize("space", ["features", "pixels"])
@pytest.mark.parametrize(("noise", "k"), [(0.04, 40.0), (0.5, 9.0), (0.0, 40.0)])
def test_stage_1_compares_noisy_sentences_with_visual_prompts(space, noise, k):
    tuned = given(pretrain={"space": space, "noise": noise, "k": k}, scale=3.0)
    h, drawn = arrays(captions(3)), Drawn()
    whole, tokens = h.whole, h.tokens
    if noise:
        whole = formulas.with_noise(whole, drawn.noise(EMBED_DIM), noise)
        tokens = formulas.with_noise(tokens, drawn.noise(TOKENS, EMBED_DIM), noise)
    v_whole, v_local = visual_features(tuned)
    expected = {
        "visual_global": formulas.global_scores(whole, v_whole, 3),
        "visual_local": formulas.local_scores(tokens, v_local, k, 3, h.mask),
    }
    terms = tuned(batch(captions=captions(3), seed=SEED, places=PLACES, total=TOTAL), "pretrain")
    assert_scores(terms.ranked, expected)
    assert not terms.rows
    assert not terms.whole


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_stage_2_against_the_formulas(changes):
    own, tuned, h, drawn = settings_of(changes), given(**changes), arrays(captions(3)), Drawn()

    def adapted(adapter, x, count, rows=None):
        if not own.adapter:
            return x
        width = EMBED_DIM // own.reduction
        kept = drawn.kept(own.dropout, count, width) if own.dropout else np.ones((count, width))
        layers = array(adapter.down), array(adapter.up)
        return formulas.adapted(x, *layers, own.alpha, kept if rows is None else kept[rows])

    whole, tokens = adapted(tuned.text_adapter, h.whole, TOTAL, PLACES), h.tokens
    if own.noise:
        whole = formulas.with_noise(whole, drawn.noise(EMBED_DIM), own.noise)
        tokens = formulas.with_noise(tokens, drawn.noise(TOKENS, EMBED_DIM), own.noise)
    expected, ends = {}, {}
    if own.text_prompts:
        e, e_local = (adapted(tuned.text_adapter, each, 3) for each in text_features(tuned))
        expected["text_global"] = formulas.global_scores(whole, e, own.scale)
        expected["text_local"] = formulas.local_scores(tokens, e_local, own.k_train, own.scale, h.mask)
        ends["text"] = e
    if own.visual_prompts:
        u, u_local = (adapted(tuned.image_adapter, each, 3) for each in visual_features(tuned))
        expected["visual_global"] = formulas.global_scores(whole, u, own.scale)
        expected["visual_local"] = formulas.local_scores(
            tokens, u_local, own.visual_k_train, own.scale, h.mask
        )
        ends["visual"] = u
    terms = tuned(batch(captions=captions(3), seed=SEED, places=PLACES, total=TOTAL), "co-learn")
    assert_scores(terms.ranked, expected)
    assert not terms.rows
    if len(ends) < 2 or not own.contrast:
        assert not terms.whole
        return
    parameter = tiny_backbone("resnet")._model.logit_scale.item()
    scale = math.exp(parameter) if own.contrast_scale == "exp" else parameter
    reduce = np.mean if own.contrast_reduction == "mean" else np.sum
    contrast = formulas.contrast(ends["text"], ends["visual"], scale, reduce)
    assert terms.whole.keys() == {"contrast"}
    assert terms.whole["contrast"].item() == pytest.approx(contrast, rel=1e-5)


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_the_four_scores_of_images_and_their_sum(changes):
    own, tuned = settings_of(changes), given(**changes).eval()
    expected = pvp_parts(tuned, arrays(images()), own)
    assert_scores(tuned.parts(images()), expected)
    answer = pvp_answer(expected, own)
    assert_scores({"answer": tuned.scores(images())}, {"answer": answer})
    if own.mix == 0.5:
        np.testing.assert_allclose(answer, sum(expected.values()), atol=1e-9)


def quiet(**changes):
    """Settings of one step without noise and dropout: its loss does not depend on the order of rows."""
    pretrain = {"noise": 0.0, "templates": 2, "schedule": ONE_STEP}
    own = {
        "noise": 0.0,
        "dropout": 0.0,
        "templates": 3,
        "margin": 0.7,
        "schedule": ONE_STEP,
        "pretrain": pretrain,
    }
    return tiny_settings(epochs=1, pvp=own | changes)


def ranked(h, labels, rows, classes, k):
    """Both ranking losses over some rows."""
    scores = (
        formulas.global_scores(h.whole, classes[0], 4),
        formulas.local_scores(h.tokens, classes[1], k, 4, h.mask),
    )
    return [formulas.ranking_loss(each[rows], labels[rows], 0.7) for each in scores]


def test_the_losses_of_both_stages_weigh_their_terms_as_the_authors_do():
    data = tiny_set()
    h, labels = arrays(data.captions.features), array(data.captions.labels)
    first = tiny_method("pvp", quiet())
    whole, local = ranked(h, labels, [*range(23), *[23, 24, 25] * 2, 26, 27, 28], visual_features(first), 40)
    assert first_losses(first, data)["pretrain"] == pytest.approx(whole + 0.1 * local, rel=1e-5)
    # Without stage 1 the second begins at numbers that are known; its adapters begin as nothing.
    for weight in (1.0, 0.5):
        second = tiny_method("pvp", quiet(pretraining=False, contrast=weight, contrast_scale="exp"))
        text, visual = text_features(second), visual_features(second)
        text, visual = ([formulas.unit(0.6 * each) for each in features] for features in (text, visual))
        rows = [*range(23), *[23, 24, 25] * 3, 26, 27, 28]
        text_losses, visual_losses = (
            ranked(h, labels, rows, each, k) for each, k in ((text, 50), (visual, 40))
        )
        scale = math.exp(tiny_backbone("resnet")._model.logit_scale.item())
        contrast = formulas.contrast(text[0], visual[0], scale)
        expected = text_losses[0] + 0.01 * text_losses[1] + sum(visual_losses) + weight * contrast
        assert first_losses(second, data) == {"co-learn": pytest.approx(expected, rel=1e-5)}


def test_adapters_drop_nothing_in_use():
    tuned = given(dropout=0.5).eval()
    assert torch.equal(tuned.scores(images()), tuned.scores(images()))


def test_the_heatmap_is_that_of_the_text_prompts_or_else_of_the_visual_ones():
    x = arrays(images())
    for changes, features in (({}, text_features), ({"text_prompts": False}, visual_features)):
        tuned = given(**changes).eval()
        adapter = tuned.text_adapter if not changes else tuned.image_adapter
        local = formulas.adapted(features(tuned)[1], array(adapter.down), array(adapter.up), 0.4)
        expected = np.stack([formulas.cosines(local, row) for row in x.patches])
        assert_scores({"heatmap": tuned.heatmap(images())}, {"heatmap": expected})


def test_pixels_are_drawn_as_clip_normalises_them():
    tuned = tiny_method("pvp", tiny_settings(pvp=PIXELS))
    config = tiny_backbone("resnet").preprocess.config
    for prompts in (tuned.visual.whole, tuned.visual.local):
        assert prompts.shape == (3, 3, 64, 64)
        assert prompts.mean().item() == pytest.approx(config["mean"][0], abs=0.01)
        assert prompts.std().item() == pytest.approx(config["std"][0], abs=0.01)
    assert not torch.equal(tuned.visual.whole, tuned.visual.local)


def test_images_alone_teach_it_nothing():
    for phase in ("pretrain", "co-learn"):
        with pytest.raises(ValueError, match="learns from captions"):
            given()(batch(images=images()), phase)
