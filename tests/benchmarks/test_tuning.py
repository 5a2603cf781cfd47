import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from jobs.benchmarks import tuning, tuning_profile
from jobs.benchmarks.tuning_names import MOST, class_names, sentences
from jobs.benchmarks.tuning_plain import PlainStep, pair_loss
from jobs.benchmarks.tuning_size import STEPS, Size
from jobs.benchmarks.tuning_step import OurStep, problem
from t2ipal.errors import UserError
from t2ipal.methods.prompts import ClassFeatures, Prompts
from t2ipal.tuning.loop import tune
from t2ipal.tuning.losses import ranking_loss
from tests.methods import formulas
from tests.methods.given import array
from tests.tiny_clip import write_tiny_clip

CLASSES, BATCH = 5, 7


@pytest.fixture(scope="module")
def size(tmp_path_factory):
    """A step of a tiny model with CLIP's own tokenizer: it tells all names apart."""
    text = {"hf_tokenizer_name": None, "vocab_size": 49408, "context_length": 77}
    folder = write_tiny_clip(tmp_path_factory.mktemp("clip"), "resnet", **text)
    return Size(CLASSES, BATCH, f"local-dir:{folder}", context=4)


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def directly(module, measure, arguments):
    assert module == tuning.MODULE
    return {"compare": tuning.compare, "step": tuning.step}[measure](**arguments)


@pytest.mark.parametrize("name", STEPS)
def test_both_sides_rank_the_same_scores_and_leave_the_same_gradients(name, size):
    found = tuning.compare(name, vars(size), rounds=1)
    assert found["scores_differ"] < tuning.TOLERANCE
    assert found["gradients_differ"] < tuning.TOLERANCE
    assert found["ratio_to_plain"] == pytest.approx(found["plain_s"] / found["s"])


@pytest.mark.parametrize("name", STEPS)
def test_what_learns_gets_a_gradient(name, size):
    given = problem(size, encoded=True)
    ours = OurStep(given, name)
    ranked = ours(0)
    gradients = ours.gradients()
    assert gradients.keys() == {each for each, p in ours.method.named_parameters() if p.requires_grad}
    assert all(gradient.abs().max() > 1e-6 for gradient in gradients.values())
    assert all(scores.shape == (BATCH, CLASSES) for scores in ranked.values())


def test_a_step_that_leaves_something_out_is_an_error(size, monkeypatch):
    encode = Prompts._encode
    monkeypatch.setattr(
        Prompts, "_encode", lambda self: ClassFeatures(encode(self).local, encode(self).local)
    )
    with pytest.raises(UserError, match=r"(?s)scores of tai_dpt differ from .*find which"):
        tuning.compare("tai_dpt", vars(size), rounds=1)


def test_gradients_that_differ_are_an_error(size, monkeypatch):
    gradients = OurStep.gradients
    monkeypatch.setattr(
        OurStep, "gradients", lambda self: {name: 1.001 * each for name, each in gradients(self).items()}
    )
    with pytest.raises(UserError, match=r"gradients of t2i_pal differ from the plain step's by 1\.0e-03"):
        tuning.compare("t2i_pal", vars(size), rounds=1)


def test_a_difference_is_a_share_of_the_largest_value():
    plain = {"one": torch.tensor([0.0, 4.0]), "other": torch.tensor([0.5])}
    assert tuning.differ({"one": torch.tensor([1.0, 4.0]), "other": torch.tensor([0.5])}, plain) == 0.25
    with pytest.raises(UserError, match="the same method"):
        tuning.differ({"one": plain["one"]}, plain)
    for broken in ({"one": plain["one"] * torch.nan}, {"other": plain["other"] * torch.nan}):
        assert math.isnan(tuning.differ(plain | broken, plain))
    nothing = {"one": torch.zeros(2)}
    assert math.isnan(tuning.differ(nothing, nothing))  # such a gradient shows nothing


@pytest.mark.parametrize("name", ["tai_dpt", "t2i_pal"])
def test_the_step_is_that_of_the_loop(name, size):
    given = problem(size, encoded=True)
    ours, looped = OurStep(given, name), OurStep(given, name).method
    looped.load_state_dict(ours.method.state_dict())
    looped.begin = lambda *_: None  # which would take prototypes from the images
    phase = replace(ours.phase, schedule=ours.phase.schedule.model_copy(update={"epochs": 1}), templates=0)
    looped.phases = lambda: [phase]
    ours(0)
    tune(looped, given.data, 0, Accelerator(cpu=True), lambda checkpoint: None)
    for (each, one), other in zip(ours.method.named_parameters(), looped.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-5, msg=each)


def test_the_plain_loss_is_the_formula_and_ours():
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.rand(6, 4, generator=torch.Generator().manual_seed(1)) < 0.4
    expected = formulas.ranking_loss(array(scores), array(labels), 0.7)
    assert float(pair_loss(scores, labels, 0.7)) == pytest.approx(expected, rel=1e-5)
    assert float(ranking_loss(scores, labels, 0.7).mean()) == pytest.approx(expected, rel=1e-5)


def test_the_plain_side_encodes_whole_texts_at_every_step(size, monkeypatch):
    given, seen = problem(size, encoded=True), []
    plain = PlainStep(given, OurStep(given, "tai_dpt"), "tai_dpt")
    forward = given.model.transformer.forward

    def noted(hidden, attn_mask):
        seen.append(tuple(hidden.shape[:2]))
        return forward(hidden, attn_mask=attn_mask)

    monkeypatch.setattr(given.model.transformer, "forward", noted)
    plain(0), plain(1)
    assert seen == [(BATCH, 77), (CLASSES, 77), (CLASSES, 77)] * 2


def test_the_report_has_every_figure(size, monkeypatch):
    monkeypatch.setattr(tuning, "measured", directly)
    report = tuning.benchmark(1, compared={"t2i_pal": size}, scaled=[size])
    assert report.figures["t2i_pal_speedup"] > 0
    assert report.figures["t2i_pal_plain_peak_gib"] > 0
    assert report.figures["t2i_pal_peak_gib"] > 0
    assert report.figures[f"t2i_pal_peak_gib_at_{CLASSES}_classes_batch_{BATCH}"] > 0
    assert "times faster" in report.table


def test_a_profile_names_the_operators_that_take_longest(size, monkeypatch):
    monkeypatch.setattr(tuning_profile, "measured", lambda *call: tuning_profile.profile(**call[2]))
    report = tuning_profile.benchmark(steps=(("tai_dpt", size),))
    (found,) = report.figures.values()
    shares = [each["share"] for each in found["top"]]
    assert shares == sorted(shares, reverse=True)
    assert 0.2 < sum(shares) <= 1.001
    assert any("mm" in each["operator"] for each in found["top"])
    assert "tai_dpt" in report.table


def test_names_are_many_and_short_and_all_different():
    names = class_names(6000)
    assert len(set(names)) == len(names)
    assert class_names(80) == names[:80]
    with pytest.raises(UserError, match="names for 6080 classes"):
        class_names(10**4)


def test_sentences_name_what_they_are_labelled_with():
    names = class_names(30)
    texts, labels = sentences(names, 50)
    for text, row in zip(texts, labels, strict=True):
        assert 1 <= row.sum() <= MOST
        assert all(f"a {names[i]}" in text for i in row.nonzero())
    assert sentences(names, 50)[0] == texts


def test_the_sizes_that_are_measured():
    for device in ("cpu", "cuda"):
        assert tuning.COMPARED[device].keys() == STEPS.keys()
        assert tuning.COMPARED[device]["tai_dpt"] == Size(80, 512)
    sizes = tuning._sizes()
    assert [each.classes for each in sizes if each.batch == 512] == [20, 80, 1000, 6000]
    assert len({str(each) for each in sizes}) == len(sizes)
