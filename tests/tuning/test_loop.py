from itertools import groupby

import pytest
import torch
from accelerate import Accelerator

from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.evaluation.scoring import score
from t2ipal.method_names import TUNED
from t2ipal.methods.base import tuned_parameters
from t2ipal.tuning.checkpoint import from_bytes, to_bytes
from t2ipal.tuning.data import TuningSet
from t2ipal.tuning.loop import tune
from tests.tuning.tiny_set import PIXELS, merged, tiny_method, tiny_set, tiny_settings

CACHE = {"adapter": "cache", "class_ranking": 0.5}


def tuned(name, settings, start=None, on_epoch=lambda checkpoint: None, seed=0):
    method = tiny_method(name, settings)
    log = tune(method, tiny_set(), seed, Accelerator(cpu=True), on_epoch, start)
    return method, log


def equal(one, two):
    pairs = zip(tuned_parameters(one).items(), tuned_parameters(two).items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("name", ["tai_dpt", "t2i_pal", "pvp", "t2i_pal_pvp"])
def test_tuning_learns_what_the_features_tell(name):
    settings = tiny_settings(epochs=12)
    data, before = tiny_set(), tiny_method(name, settings)
    after, log = tuned(name, settings)
    images = data.images
    first, last = (
        mean_average_precision(score(method, *images.features)[0], images.labels.numpy())
        for method in (before, after)
    )
    for phase in {entry["phase"] for entry in log}:
        losses = [entry["loss"] for entry in log if entry["phase"] == phase]
        assert losses[-1] < 0.85 * losses[0]
    assert last > first + 15


@pytest.mark.parametrize(
    ("name", "kind", "sections"),
    [
        ("t2i_pal", "sgd", {"t2i_pal": {"class_ranking": 0.5}}),
        ("t2i_pal", "adamw", {"t2i_pal": CACHE}),
        ("pvp", "sgd", {}),  # with noise and dropout
        ("pvp", "adamw", {"pvp": PIXELS}),
        ("t2i_pal_pvp", "adamw", {"t2i_pal_pvp": {"doubt": 0.4}, "t2i_pal": {"class_ranking": 0.5}}),
        ("t2i_pal_pvp", "sgd", {"t2i_pal_pvp": {"doubt": 0.4, "judge": "t2i_pal"}, "t2i_pal": CACHE}),
        ("tai_dpt", "sgd", {}),
    ],
)
def test_going_on_from_any_epoch_gives_the_same_bits(name, kind, sections):
    sections = {"pvp": {}} | sections
    sections["pvp"] = merged(sections["pvp"], {"pretrain": {"schedule": {"epochs": 2}}})
    settings, saved = tiny_settings(epochs=3, optimizer=kind, **sections), []
    straight, log = tuned(name, settings, on_epoch=lambda checkpoint: saved.append(to_bytes(checkpoint)))
    assert len(saved) == len(log) == sum(phase.schedule.epochs for phase in straight.phases())
    for data in saved[:-1]:
        resumed, resumed_log = tuned(name, settings, start=from_bytes(data))
        assert resumed_log == log
        assert equal(straight, resumed)


def test_a_finished_state_is_left_alone():
    settings, saved = tiny_settings(epochs=2), []
    for name in TUNED:
        straight, log = tuned(name, settings, on_epoch=saved.append)
        again, again_log = tuned(name, settings, start=saved[-1])
        assert again_log == log
        assert equal(straight, again)


def test_each_entry_of_the_log_names_its_phase_and_the_epoch_within_it():
    _, log = tuned("pvp", tiny_settings())
    assert [(entry["phase"], entry["epoch"]) for entry in log] == [
        *(("pretrain", epoch) for epoch in (1, 2)),
        *(("co-learn", epoch) for epoch in (1, 2, 3, 4)),
    ]


def test_the_order_and_the_noise_follow_from_the_seed():
    for name in ("t2i_pal", "pvp"):
        settings = tiny_settings(epochs=2)
        assert tuned(name, settings, seed=0)[1] == tuned(name, settings, seed=0)[1]
        assert tuned(name, settings, seed=0)[1] != tuned(name, settings, seed=1)[1]


def test_the_order_follows_from_the_seed_the_phase_and_the_epoch(monkeypatch):
    # Both phases have the same rows.
    settings = tiny_settings(epochs=2, pvp={"pretrain": {"templates": 1, "schedule": {"epochs": 2}}})
    taken, batch = [], TuningSet.batch
    monkeypatch.setattr(
        TuningSet, "batch", lambda self, *given: taken.append(given[1].tolist()) or batch(self, *given)
    )
    orders = {}
    for seed in (0, 0, 1):
        tuned("pvp", settings, seed=seed)
        rows, steps = [row for step in taken for row in step], [len(step) for step in taken]
        taken.clear()
        assert steps == [5, 5, 5, 5, 5, 4] * 4
        epochs = [tuple(rows[at : at + 29]) for at in range(0, len(rows), 29)]
        assert all(sorted(epoch) == list(range(29)) for epoch in epochs)
        assert len(set(epochs)) == 4
        assert orders.setdefault(seed, epochs) == epochs
    assert not set(orders[0]) & set(orders[1])


def test_the_class_wise_term_has_an_effect():
    with_term = tiny_settings(epochs=2, t2i_pal={"class_ranking": 1.0})
    assert tuned("t2i_pal", tiny_settings(epochs=2))[1] != tuned("t2i_pal", with_term)[1]


@pytest.mark.parametrize("judge", ["pvp", "t2i_pal"])
def test_a_method_selects_before_it_begins_and_after_every_interruption(judge):
    settings = tiny_settings(epochs=2, t2i_pal_pvp={"doubt": 0.4, "judge": judge})
    epochs, data, saved = [1, 2, 2] if judge == "pvp" else [2, 2], tiny_set(), []
    for done in range(sum(epochs)):
        method, calls = tiny_method("t2i_pal_pvp", settings), []
        names = [phase.name for phase in method.phases()]
        record(method, calls)
        states = saved if done == 0 else []
        tune(method, data, 0, Accelerator(cpu=True), states.append, saved[done - 1] if done else None)
        expected = []
        for i, name in enumerate(names):
            finished = done - sum(epochs[:i])
            if finished < epochs[i]:
                expected += [("select", name, False, "all")]
                known = "some" if name == "tune" else "all"
                expected += [("begin", name, True, known)] if finished <= 0 else []
                expected += [("learn", name, True, known)]
        assert [call for call, _ in groupby(calls)] == expected


def record(method, calls):
    """Note what is called, in which phase, whether in training mode, and which labels are known."""
    select, begin, learn = method.select, method.begin, method.forward

    def extent(known):
        return "all" if known is None else "some"

    def selecting(phase, data):
        calls.append(("select", phase.name, method.training, extent(data.images.known)))
        return select(phase, data)

    def beginning(phase, data):
        calls.append(("begin", phase.name, method.training, extent(data.images.known)))
        begin(phase, data)

    def learning(batch, phase):
        calls.append(("learn", phase, method.training, extent(batch.known)))
        return learn(batch, phase)

    method.select, method.begin, method.forward = selecting, beginning, learning
