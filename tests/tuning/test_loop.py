import torch
from accelerate import Accelerator

from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.evaluation.scoring import score
from t2ipal.tuning.checkpoint import from_bytes, to_bytes, tuned_parameters
from t2ipal.tuning.loop import tune
from tests.tuning.tiny_set import tiny_method, tiny_recipe, tiny_set


def tuned(recipe, start=None, on_epoch=lambda checkpoint: None, seed=0):
    method = tiny_method(recipe)
    log = tune(method, tiny_set(), recipe, seed, Accelerator(cpu=True), on_epoch, start)
    return method, log


def test_tuning_learns_what_the_features_tell():
    recipe = tiny_recipe(epochs=12)
    data, before = tiny_set(), tiny_method(recipe)
    after, log = tuned(recipe)
    first, last = (
        mean_average_precision(score(method, data.whole, data.patches)[0], data.labels.numpy())
        for method in (before, after)
    )
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    assert last > first + 15


def test_going_on_from_any_epoch_gives_the_same_bits():
    for kind in ("sgd", "adamw"):
        recipe = tiny_recipe(optimizer=kind, class_ranking=0.5)
        saved = []
        straight, log = tuned(
            recipe, on_epoch=lambda checkpoint, saved=saved: saved.append(to_bytes(checkpoint))
        )
        assert len(saved) == 4
        for data in saved[:-1]:
            resumed, resumed_log = tuned(recipe, start=from_bytes(data))
            assert resumed_log == log
            assert all(
                torch.equal(a, b)
                for a, b in zip(
                    tuned_parameters(straight).values(), tuned_parameters(resumed).values(), strict=True
                )
            )


def test_a_finished_state_is_left_alone():
    saved = []
    recipe = tiny_recipe(epochs=2)
    straight, log = tuned(recipe, on_epoch=saved.append)
    again, again_log = tuned(recipe, start=saved[-1])
    assert again_log == log
    assert torch.equal(straight.prototypes, again.prototypes)


def test_the_order_follows_from_the_seed():
    recipe = tiny_recipe(epochs=2)
    assert tuned(recipe, seed=0)[1] == tuned(recipe, seed=0)[1]
    assert tuned(recipe, seed=0)[1] != tuned(recipe, seed=1)[1]


def test_the_class_wise_term_has_an_effect():
    assert tuned(tiny_recipe(epochs=2))[1] != tuned(tiny_recipe(epochs=2, class_ranking=1.0))[1]
