import numpy as np
import pytest
import torch

from t2ipal.method_settings import TaIDPTSettings
from tests.methods import formulas
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
)
from tests.tuning.tiny_set import tiny_method, tiny_set, tiny_settings

OTHERS = {"scale": 3.0, "k_train": 11.0, "k_test": 7.0, "mix": 0.3}  # than the defaults


def method(**settings):
    return tiny_method("tai_dpt", tiny_settings(tai_dpt=settings))


def test_the_authors_numbers_are_the_defaults():
    own = TaIDPTSettings()
    assert (own.context, own.scale, own.margin, own.k_train, own.k_test, own.mix) == (16, 4, 1, 50, 40, 0.5)
    assert (own.prompt_lr, own.templates) == (1e-4, 9)
    schedule = own.schedule
    assert (schedule.optimizer, schedule.momentum, schedule.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (schedule.epochs, schedule.batch, schedule.warmup_epochs, schedule.warmup_lr) == (20, 512, 1, 1e-5)


@pytest.mark.parametrize(("settings", "k", "scale"), [({}, 50, 4), (OTHERS, 11, 3)])
def test_scores_of_captions_leave_padding_out(settings, k, scale):
    tuned, seen = method(**settings), captions()
    whole, local = text_features(tuned)
    terms = tuned(batch(captions=seen), "tune")
    h = arrays(seen)
    expected = {
        "caption_global": formulas.global_scores(h.whole, whole, scale),
        "caption_local": formulas.local_scores(h.tokens, local, k, scale, h.mask),
    }
    assert_scores(terms.ranked, expected)
    assert not terms.rows
    assert not terms.whole


@pytest.mark.parametrize(("settings", "k", "scale", "mix"), [({}, 40, 4, 0.5), (OTHERS, 7, 3, 0.3)])
def test_scores_of_images_and_the_answer(settings, k, scale, mix):
    tuned, seen = method(**settings).eval(), images()
    whole, local = text_features(tuned)
    x = arrays(seen)
    expected = {
        "global": formulas.global_scores(x.whole, whole, scale),
        "local": formulas.local_scores(x.patches, local, k, scale),
    }
    assert_scores(tuned.parts(seen), expected)
    answer = mix * expected["global"] + (1 - mix) * expected["local"]
    assert_scores({"answer": tuned.scores(seen)}, {"answer": answer})
    heat = np.stack([formulas.cosines(local, row) for row in x.patches])
    assert_scores({"heatmap": tuned.heatmap(seen)}, {"heatmap": heat})


def test_the_loss_is_the_sum_of_both_rankings_over_captions_and_templates():
    settings = tiny_settings(epochs=1, tai_dpt={"margin": 0.7, "templates": 3, "schedule": ONE_STEP})
    tuned, data = tiny_method("tai_dpt", settings), tiny_set()
    whole, local = text_features(tuned)
    h, labels = arrays(data.captions.features), array(data.captions.labels)
    # 23 captions, the plain template of 3 classes three times, the other template once.
    rows = [*range(23), *[23, 24, 25] * 3, 26, 27, 28]
    expected = sum(
        formulas.ranking_loss(scores[rows], labels[rows], 0.7)
        for scores in (
            formulas.global_scores(h.whole, whole, 4),
            formulas.local_scores(h.tokens, local, 50, 4, h.mask),
        )
    )
    assert first_losses(tuned, data)["tune"] == pytest.approx(expected, rel=1e-5)


def test_images_alone_teach_it_nothing():
    with pytest.raises(ValueError, match="learns from captions"):
        method()(batch(images=images()), "tune")


def test_both_contexts_are_drawn_from_the_seed_as_the_authors_draw_them():
    large = tiny_settings(tai_dpt={"context": 8})
    one, same, other = (tiny_method("tai_dpt", large, seed) for seed in (1, 1, 2))
    contexts = [one.prompts.global_context, one.prompts.local_context]
    assert torch.equal(contexts[0], same.prompts.global_context)
    assert not torch.equal(contexts[0], other.prompts.global_context)
    assert not torch.equal(*contexts)
    for context in contexts:
        assert context.std().item() == pytest.approx(0.02, rel=0.2)
