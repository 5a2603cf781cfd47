import pytest
import torch

from tests.methods import formulas
from tests.methods.given import array, arrays, assert_scores, batch, captions, images, text_features, weights
from tests.tuning.tiny_set import tiny_method, tiny_settings

SWITCHES = [
    {},
    {"t2i_pal_pvp": {"share": 0.7}, "t2i_pal": {"mix": 0.3, "alpha": 0.6}, "pvp": {"scale": 3.0}},
    {"t2i_pal_pvp": {"adapted": False}, "pvp": {"visual_k_train": 5.0, "visual_k_test": 13.0}},
    {"t2i_pal": {"adapter": None}},
    {"t2i_pal": {"adapter": "cache"}},
    {"t2i_pal": {"prototypes": False, "heatmap": False}},
    {"t2i_pal_pvp": {"tuned": True}},
]


def given(sections, name="t2i_pal_pvp"):
    tuned = tiny_method(name, tiny_settings(**sections))
    if tuned.adapter is not None:
        weights(tuned.adapter)
    return tuned


def visual_scores(tuned, settings, k):
    x, own = arrays(images()), settings.t2i_pal
    if own.adapter == "bottleneck" and settings.t2i_pal_pvp.adapted:
        layers = array(tuned.adapter.down), array(tuned.adapter.up)
        x = x._make(formulas.adapted(each, *layers, own.alpha) for each in x)
    whole, local = (formulas.unit(array(each)) for each in (tuned.visual.whole, tuned.visual.local))
    scale = settings.pvp.scale
    return {
        "visual_global": formulas.global_scores(x.whole, whole, scale),
        "visual_local": formulas.local_scores(x.patches, local, k, scale),
    }


@pytest.mark.parametrize("sections", SWITCHES, ids=str)
def test_parts_are_those_of_t2i_pal_and_of_the_visual_prompts(sections):
    settings, tuned = tiny_settings(**sections), given(sections).eval()
    alone = given(sections, "t2i_pal").eval()
    visual = visual_scores(tuned, settings, settings.pvp.visual_k_test)
    expected = {name: array(part) for name, part in alone.parts(images()).items()} | visual
    assert_scores(tuned.parts(images()), expected)


@pytest.mark.parametrize("sections", SWITCHES, ids=str)
def test_the_answer_shares_between_both(sections):
    settings, tuned = tiny_settings(**sections), given(sections).eval()
    visual = visual_scores(tuned, settings, settings.pvp.visual_k_test)
    share, mix = settings.t2i_pal_pvp.share, settings.t2i_pal.mix
    theirs = mix * visual["visual_global"] + (1 - mix) * visual["visual_local"]
    alone = array(given(sections, "t2i_pal").eval().scores(images()))
    expected = (1 - share) * alone + share * theirs
    assert_scores({"answer": tuned.scores(images())}, {"answer": expected})


@pytest.mark.parametrize("sections", SWITCHES, ids=str)
def test_it_is_tuned_as_t2i_pal_and_if_asked_by_the_visual_scores_too(sections):
    settings, tuned = tiny_settings(**sections), given(sections)
    alone = given(sections, "t2i_pal")(batch(images(), captions()), "tune")
    expected = {name: array(part) for name, part in alone.ranked.items()}
    if settings.t2i_pal_pvp.tuned:
        visual = visual_scores(tuned, settings, settings.pvp.visual_k_train)
        expected |= {f"image_{name}": part for name, part in visual.items()}
    terms = tuned(batch(images(), captions()), "tune")
    assert_scores(terms.ranked, expected)
    assert not terms.rows
    assert not terms.whole


def test_its_first_phase_is_that_of_pvp():
    sections = {"pvp": {"pretrain": {"noise": 0.3, "k": 9.0}, "scale": 3.0, "margin": 0.7}}
    tuned, pvp = given(sections), tiny_method("pvp", tiny_settings(**sections))
    with torch.no_grad():
        for name in ("whole", "local"):
            getattr(pvp.visual, name).copy_(getattr(tuned.visual, name))
    ours, theirs = (each(batch(captions=captions(), seed=3), "pretrain") for each in (tuned, pvp))
    assert_scores(ours.ranked, {name: array(part) for name, part in theirs.ranked.items()})
    assert tuned.phases()[0] == pvp.phases()[0]


def test_both_draw_the_same_first_prompts():
    tuned, alone = given({}), given({}, "t2i_pal")
    for one, other in zip(text_features(tuned), text_features(alone), strict=True):
        assert (one == other).all()
