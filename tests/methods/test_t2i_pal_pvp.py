from collections import Counter

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from t2ipal.method_settings import T2IPALPVPSettings
from t2ipal.methods import Captions, Images
from t2ipal.methods.adapter import Adapter
from t2ipal.methods.base import tuned_parameters
from t2ipal.methods.pvp import PVP
from t2ipal.methods.t2i_pal import T2IPal
from t2ipal.methods.t2i_pal_pvp import T2IPalPVP, doubtful
from t2ipal.tuning.data import ImageSet, TuningSet
from t2ipal.tuning.loop import tune
from tests.fake_gpu import backbone_on_gpu, to_gpu
from tests.methods import formulas
from tests.methods.expected import (
    adapted,
    class_features,
    pvp_answer,
    pvp_parts,
    t2i_pal_answer,
    t2i_pal_parts,
    visual_features,
)
from tests.methods.given import ONE_STEP, array, arrays, assert_scores, batch, captions, images, weights
from tests.tuning.tiny_set import NAMES, PIXELS, tiny_method, tiny_set, tiny_settings

JUDGED_BY_T2I_PAL = {"t2i_pal_pvp": {"judge": "t2i_pal"}}
WITHOUT_VISUAL_PROMPTS = {"pvp": {"visual_prompts": False}}
SWITCHES = [
    {},
    {
        "t2i_pal_pvp": {"share": 0.7},
        "t2i_pal": {"mix": 0.3, "alpha": 0.6, "scale": 3.0, "k_train": 11.0, "k_test": 7.0},
        "pvp": {"scale": 5.0, "alpha": 0.7, "visual_k_test": 13.0},
    },
    {"t2i_pal_pvp": {"share": 0.0}},
    {"t2i_pal_pvp": {"doubt": 0.0}},
    {"t2i_pal": {"adapter": None}, "pvp": {"adapter": False}},
    {"t2i_pal": {"adapter": "cache"}, "pvp": PIXELS},
    {"t2i_pal": {"prototypes": False, "heatmap": False}},
    {"pvp": {"text_prompts": False}},
    WITHOUT_VISUAL_PROMPTS,
    JUDGED_BY_T2I_PAL,
]


def given(sections):
    """A method with random numbers wherever it starts with zeros or with copies."""
    tuned = tiny_method("t2i_pal_pvp", tiny_settings(**sections))
    generator = torch.Generator().manual_seed(8)
    for module in tuned.modules():
        if isinstance(module, Adapter):
            weights(module)
        if isinstance(module, T2IPal) and module.prototypes is not None:
            torch.nn.init.normal_(module.prototypes, generator=generator)
        if isinstance(module, T2IPal) and module.cache is not None:
            torch.nn.init.normal_(module.cache.keys, generator=generator)
            torch.nn.init.uniform_(module.cache.values, generator=generator)
    return tuned


def expected_parts(tuned, settings):
    seen, own = arrays(images()), settings.t2i_pal
    parts = t2i_pal_parts(tuned.t2i_pal, seen, own, own.k_test)
    if settings.t2i_pal_pvp.judge == "pvp" and settings.pvp.visual_prompts:
        places = adapted(tuned.t2i_pal.adapter, seen.patches, own)
        local = class_features(tuned.t2i_pal)[1]
        visual = adapted(tuned.judge.image_adapter, visual_features(tuned.judge)[1], settings.pvp)
        k = own.k_test if own.heatmap else 0.0
        parts["visual"] = formulas.prototype_scores(places, local, visual, k, own.scale)
    return parts


def judged(tuned, settings, data):
    """Which labels of a training set its judge doubts, by the formulas."""
    seen, labels = arrays(data.images.features), array(data.images.labels)
    if settings.t2i_pal_pvp.judge == "pvp":
        scores = pvp_answer(pvp_parts(tuned.judge, seen, settings.pvp), settings.pvp)
    else:
        own = settings.t2i_pal
        scores = t2i_pal_answer(t2i_pal_parts(tuned.judge, seen, own, own.k_test), own)
    return formulas.doubtful(scores, labels, settings.t2i_pal_pvp.doubt)


def test_what_is_chosen_where_nothing_else_is_asked_for():
    own = T2IPALPVPSettings()
    assert (own.doubt, own.share, own.judge) == (0.1, 0.2, "pvp")


@pytest.mark.parametrize("sections", SWITCHES, ids=str)
def test_parts_and_answer_of_images(sections):
    settings, tuned = tiny_settings(**sections), given(sections).eval()
    expected = expected_parts(tuned, settings)
    assert ("visual" in expected) == (sections not in (JUDGED_BY_T2I_PAL, WITHOUT_VISUAL_PROMPTS))
    assert_scores(tuned.parts(images()), expected)
    answer, share = t2i_pal_answer(expected, settings.t2i_pal), settings.t2i_pal_pvp.share
    if "visual" in expected:
        answer = (1 - share) * answer + share * expected["visual"]
    assert_scores({"answer": tuned.scores(images())}, {"answer": answer})


def test_the_heatmap_is_that_of_t2i_pal():
    tuned = given({}).eval()
    assert torch.equal(tuned.heatmap(images()), tuned.t2i_pal.heatmap(images()))


@pytest.mark.parametrize("judge", ["pvp", "t2i_pal"])
def test_each_phase_learns_as_its_method_does_alone(judge):
    tuned = given({"t2i_pal_pvp": {"judge": judge}})
    alone = [*tuned.judge.phases(), *tuned.t2i_pal.phases()]
    names = ["pretrain", "co-learn", "tune"] if judge == "pvp" else ["judge", "tune"]
    modules = ["judge"] * (len(names) - 1) + ["t2i_pal"]
    methods = {"judge": tuned.judge, "t2i_pal": tuned.t2i_pal}
    for phase, its, name, module in zip(tuned.phases(), alone, names, modules, strict=True):
        assert phase.name == name
        assert phase.rates == {f"{module}.{part}": rate for part, rate in its.rates.items()}
        differing = {"rates": None, "name": None}
        assert vars(phase) | differing == vars(its) | differing
        seen = images() if phase.rows == "images" else None
        found, expected = (
            each(batch(seen, captions(), seed=3), named)
            for each, named in ((tuned, name), (methods[module], its.name))
        )
        for kind in ("ranked", "rows", "whole"):
            terms = getattr(expected, kind)
            assert_scores(getattr(found, kind), {part: array(it) for part, it in terms.items()})


def test_the_judge_is_that_of_the_settings_and_a_second_t2i_pal_has_numbers_of_its_own():
    assert isinstance(given({}).judge, PVP)
    tuned = given(JUDGED_BY_T2I_PAL)
    assert isinstance(tuned.judge, T2IPal)
    for name in ("global_context", "local_context"):
        assert not torch.equal(getattr(tuned.judge.prompts, name), getattr(tuned.t2i_pal.prompts, name))


COUNTS = (20, 33, 1, 0, 40, 2)  # of 40 images those that hold each class
LABELS = np.stack([np.random.default_rng(c).permutation(40) < COUNTS[c] for c in range(6)], axis=1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.99])
@pytest.mark.parametrize("ties", [False, True])
def test_doubtful_are_the_lowest_of_each_class(share, ties):
    scores = np.random.default_rng(1).normal(size=LABELS.shape)
    scores = np.round(scores * 2) / 2 if ties else scores
    # float64, so that the quantiles of both are the same numbers
    found = array(doubtful(torch.tensor(scores), torch.tensor(LABELS), share))
    assert (found == formulas.doubtful(scores, LABELS, share)).all()
    assert not (found & ~LABELS).any()
    assert found.any() == (share > 0)


def test_of_equal_scores_and_of_a_single_image_none_is_doubtful():
    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 0]], dtype=torch.bool)
    for scores in (torch.ones(3, 3), torch.zeros(3, 3)):
        assert not doubtful(scores, labels, 0.9).any()
    scores = torch.tensor([[2.0, -9.0, -9.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert not doubtful(scores, labels, 0.4).any()  # two share the lowest place
    assert doubtful(scores, labels, 0.6)[:, 0].tolist() == [False, True, True]


SELECTING = [
    {"t2i_pal_pvp": {"doubt": 0.35}},
    {"t2i_pal_pvp": {"doubt": 0.35}, "pvp": {"text_prompts": False, "scale": 3.0, "mix": 0.3}},
    {"t2i_pal_pvp": {"doubt": 0.35}, **WITHOUT_VISUAL_PROMPTS},
    {"t2i_pal_pvp": {"doubt": 0.35, "judge": "t2i_pal"}},
]


@pytest.mark.parametrize("sections", SELECTING, ids=str)
@pytest.mark.parametrize("size", [5, 256])
def test_t2i_pal_does_not_learn_from_labels_that_the_judge_doubts(monkeypatch, sections, size):
    monkeypatch.setattr("t2ipal.methods.t2i_pal_pvp.BATCH", size)
    settings, tuned, data = tiny_settings(**sections), given(sections).eval(), tiny_set()
    expected = judged(tuned, settings, data)
    assert expected.any(axis=0).all()
    selected = tuned.select(tuned.phases()[-1], data)
    assert (array(selected.images.known) == ~expected).all()
    assert selected.images.labels is data.images.labels
    assert selected.images.features is data.images.features
    assert selected.captions is data.captions
    assert data.images.known is None


def test_labels_that_nobody_knows_are_not_judged_and_stay_unknown():
    tuned, data, unknown = given(SELECTING[0]).eval(), tiny_set(), torch.zeros(23, 3, dtype=torch.bool)
    unknown[:11] = True
    selected = tuned.select(tuned.phases()[-1], data.without_labels(unknown)).images
    scores = tuned.judge.scores(Images(*(each[11:].float() for each in data.images.features)))
    rest = doubtful(scores, data.images.labels[11:], 0.35)
    assert rest.any()
    assert torch.equal(selected.known, torch.cat([~unknown[:11], ~rest]))


@pytest.mark.parametrize("judge", ["pvp", "t2i_pal"])
def test_the_judge_learns_from_all_and_without_doubt_or_images_t2i_pal_does_too(judge):
    data = tiny_set()
    for changes in ({}, {"doubt": 0.0}):
        tuned = given({"t2i_pal_pvp": {"judge": judge} | changes}).eval()
        for phase in tuned.phases()[: None if changes else -1]:
            assert tuned.select(phase, data) is data
    tuned = given({"t2i_pal_pvp": {"judge": judge}, "t2i_pal": {"image_branch": False}}).eval()
    assert tuned.select(tuned.phases()[-1], data) is data


@pytest.mark.parametrize("sections", SELECTING, ids=str)
def test_what_is_selected_depends_on_the_judge_alone(sections):
    tuned, data = given(sections).eval(), tiny_set()
    last = tuned.phases()[-1]

    def known():
        return tuned.train().eval().select(last, data).images.known

    def disturb(module):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))

    parameters, before = tuned_parameters(tuned), known()
    assert all(torch.equal(value, parameters[name]) for name, value in tuned_parameters(tuned).items())
    disturb(tuned.t2i_pal)
    assert torch.equal(known(), before)
    disturb(tuned.judge)
    assert not torch.equal(known(), before)


def tuned_alone(name, settings):
    method = tiny_method(name, settings)
    log = tune(method, tiny_set(), 0, Accelerator(cpu=True), lambda checkpoint: None)
    return method, log


def assert_same(module, other):
    pairs = zip(tuned_parameters(module).items(), tuned_parameters(other).items(), strict=True)
    assert all(name == its and torch.equal(value, its_value) for (name, value), (its, its_value) in pairs)


def test_pvp_is_tuned_as_alone_and_without_doubt_t2i_pal_too():
    settings = tiny_settings(epochs=2, t2i_pal_pvp={"doubt": 0.0})
    (tuned, log), (pvp, pvp_log), (t2i_pal, t2i_pal_log) = (
        tuned_alone(name, settings) for name in ("t2i_pal_pvp", "pvp", "t2i_pal")
    )
    assert log == pvp_log + t2i_pal_log
    assert_same(tuned.judge, pvp)
    assert_same(tuned.t2i_pal, t2i_pal)
    settings = tiny_settings(epochs=2, t2i_pal_pvp={"doubt": 0.4})
    doubting, its_log = tuned_alone("t2i_pal_pvp", settings)
    assert_same(doubting.judge, pvp)
    assert its_log[-2]["loss"] != log[-2]["loss"]


@pytest.mark.parametrize("sections", SELECTING, ids=str)
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_loss_ranks_images_by_known_labels_and_captions_by_all(sections, weight):
    own = {"margin": 0.7, "class_ranking": weight, "adapter": None, "schedule": ONE_STEP}
    settings, data = tiny_settings(epochs=1, **sections | {"t2i_pal": own}), tiny_set()
    first = tiny_method("t2i_pal_pvp", settings).t2i_pal
    tuned, log = tuned_alone("t2i_pal_pvp", settings)
    known = ~judged(tuned, settings, data)
    whole, local = class_features(first)
    seen, labels = arrays(data.images.features), array(data.images.labels)
    said = Captions(*(array(table[data.images.caption]) for table in data.captions.features))
    assert (labels & known).any(axis=0).all()
    assert (labels & ~known).any(axis=0).all()
    prototypes = formulas.first_prototypes(seen.patches, labels & known, local, 50)
    of_images = [
        formulas.global_scores(seen.whole, whole, 4),
        formulas.local_scores(seen.patches, local, 50, 4),
        formulas.prototype_scores(seen.patches, local, prototypes, 50, 4),
    ]
    of_captions = [
        formulas.global_scores(said.whole, whole, 4),
        formulas.local_scores(said.tokens, local, 50, 4, said.mask),
    ]
    expected = sum(formulas.ranking_loss(scores, labels, 0.7, known) for scores in of_images)
    expected += sum(formulas.ranking_loss(scores, labels, 0.7) for scores in of_captions)
    expected += weight * sum(
        formulas.class_wise_ranking_loss(scores, labels, 0.7, known) for scores in of_images
    )
    assert Counter(entry["phase"] for entry in log)["tune"] == 1
    assert log[-1]["loss"] == pytest.approx(expected, rel=1e-5)


def test_prototypes_and_the_cache_start_from_known_labels_alone():
    sections = {"t2i_pal_pvp": {"doubt": 0.5}, "t2i_pal": {"adapter": "cache", "cache_size": 2}}
    settings, tuned = tiny_settings(**sections), given(sections).eval()
    data = TuningSet(ImageSet(images(23), tiny_set().images.labels), None)
    last, local = tuned.phases()[-1], class_features(tuned.t2i_pal)[1]
    known = array(data.images.labels) & ~judged(tuned, settings, data)
    selected = tuned.select(last, data)
    tuned.train().begin(last, selected)
    seen = arrays(images(23))
    expected = formulas.first_prototypes(seen.patches, known, local, 50)
    np.testing.assert_allclose(array(tuned.t2i_pal.prototypes), expected, atol=1e-5)
    assert (known.sum(axis=0) >= 2).all()
    kept = [i for c in range(3) for i in np.flatnonzero(known[:, c])[:2]]
    np.testing.assert_allclose(array(tuned.t2i_pal.cache.keys), seen.whole[kept])
    values = known[kept] / known[kept].sum(axis=0)
    np.testing.assert_allclose(array(tuned.t2i_pal.cache.values), values, atol=1e-6)


def test_the_first_state_of_the_judge_is_its_own():
    tuned, data = tiny_method("t2i_pal_pvp", tiny_settings(**JUDGED_BY_T2I_PAL)), tiny_set()
    alone = tiny_method("t2i_pal", tiny_settings())
    alone.load_state_dict(tuned.judge.state_dict())
    untouched = tuned_parameters(tuned.t2i_pal)
    tuned.begin(tuned.phases()[0], data)
    alone.begin(alone.phases()[0], data)
    assert_same(tuned.judge, alone)
    assert all(torch.equal(value, untouched[name]) for name, value in tuned.t2i_pal.named_parameters())


@pytest.mark.parametrize("judge", ["pvp", "t2i_pal"])
def test_it_is_built_trained_and_used_on_a_gpu(judge):
    settings = tiny_settings(t2i_pal_pvp={"judge": judge})
    with backbone_on_gpu("resnet", NAMES, 4) as backbone:
        tuned = T2IPalPVP(backbone, NAMES, settings, 0)  # its parameters are on the CPU
        to_gpu(tuned)
        seen = Images(*backbone.pixels(torch.zeros(2, 3, 64, 64))[:2])
        labels = torch.ones(2, 3, dtype=torch.bool, device="cuda")
        said = Captions(*(each.to("cuda") for each in captions(2)))
        last = tuned.phases()[-1]
        scores = tuned(batch(seen, said)._replace(labels=labels), last.name).ranked
        tuned.eval()
        for each in (*scores.values(), *tuned.parts(seen).values(), tuned.scores(seen), tuned.heatmap(seen)):
            assert each.device.type == "cuda"
