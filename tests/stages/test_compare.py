"""A comparison on a run's images, in this process; with Ray it does the same on workers."""

import os
import shutil

import numpy as np
import pytest

from t2ipal import Recognizer
from t2ipal.errors import UserError
from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.stages import compare, evaluate, features
from t2ipal.store import Store
from t2ipal.tuning import loop, session
from tests.finished_images import compute_features
from tests.recipes import tiny_recipe

NAMES = [
    "zero_shot",
    "zero_shot_standardised",
    "t2i_pal",
    "t2i_pal_standardised",
    "t2i_pal-without-captions",
    "tai_dpt",
    "supervised",
]


def groups(plan):
    """Entries of one trial together, as the tasks of a comparison have them."""
    found = {}
    for entry in plan:
        if not entry.is_done():
            found.setdefault(entry.trial.folder, []).append(entry)
    return list(found.values())


def shards_of(plan):
    return {entry.shard for entry in plan if not entry.is_done()}


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """The finished run, and a comparison on it with two seeds."""
    recipe, run, *_ = finished
    out = Store.open(str(tmp_path_factory.mktemp("table")))
    out.claim(recipe)
    compute_features(recipe, out, compare.tables(NAMES))
    plan = compare.entries(recipe, run, out, NAMES, seeds=2)
    assert len(shards_of(plan)) == len(plan)
    reports = [report for group in groups(plan) for report in compare.complete_here(group)]
    return recipe, run, out, plan, reports


@pytest.fixture
def again(compared, tmp_path):
    """The same in a folder that may be spoiled."""
    recipe, run, out, *_ = compared
    other = Store.open(str(shutil.copytree(out.root, tmp_path / "copy")))
    other.claim(recipe)
    return recipe, run, other


def with_settings(recipe, section, **changes):
    changed = getattr(recipe.methods, section).model_copy(update=changes)
    return recipe.model_copy(update={"methods": recipe.methods.model_copy(update={section: changed})})


def test_what_is_not_tuned_gets_one_seed(compared):
    *_, plan, _ = compared
    assert [entry.shard for entry in plan] == [
        "zero_shot-seed-0",
        "zero_shot_standardised-seed-0",
        *(f"{name}-seed-{seed}" for name in NAMES[2:] for seed in (0, 1)),
    ]
    folders = {entry.shard: entry.trial.folder for entry in plan}
    assert folders["t2i_pal-seed-1"] == folders["t2i_pal_standardised-seed-1"] == "trials/t2i_pal/seed-1"
    assert folders["t2i_pal-without-captions-seed-0"] == "trials/t2i_pal-without-captions/seed-0"
    assert compare.tables(NAMES) == [features.TEST, features.TRAIN]
    assert compare.tables(NAMES[:-1]) == [features.TEST]


def test_every_recognizer_is_scored_once(compared):
    *_, plan, reports = compared
    assert all(entry.is_done() for entry in plan)
    assert {report.stage for report in reports} == {entry.shard for entry in plan}
    assert len(reports) == len(plan)
    assert all(report.rows == 12 for report in reports)


def test_figures_are_those_of_the_predictions(compared):
    recipe, _, out, plan, reports = compared
    labels = np.array([[bool(i >> c & 1) for c in range(3)] for i in range(12)])
    for report in reports:
        table = out.shards(compare.TABLE).read(report.stage)
        value = mean_average_precision(np.array(table["scores"].to_pylist(), dtype=np.float32), labels)
        figures = out.shards(compare.TABLE).done()[report.stage].extra["figures"]
        assert figures["mAP"] == report.notes["mAP"] == pytest.approx(value, abs=1e-3)
    found = compare.summary(plan, recipe, out)
    assert tuple(found["methods"]) == tuple(NAMES)
    assert found["images"] == 12
    assert len(found["methods"]["t2i_pal"]["mAP"]["seeds"]) == 2
    assert len(found["methods"]["zero_shot"]["mAP"]["seeds"]) == 1
    assert [(row["ours"], row["theirs"]) for row in found["differences"]] == [
        ("t2i_pal", "zero_shot_standardised"),
        ("t2i_pal", "tai_dpt"),
        ("t2i_pal", "t2i_pal-without-captions"),
    ]


def test_the_first_seed_is_that_of_the_job(compared):
    _, run, out, *_ = compared
    for name in ("zero_shot", "zero_shot_standardised", "t2i_pal"):
        ours, theirs = out.shards(compare.TABLE).read(f"{name}-seed-0"), run.shards(evaluate.TABLE).read(name)
        assert ours.equals(theirs)
    seeds = [out.shards(compare.TABLE).read(f"t2i_pal-seed-{seed}") for seed in (0, 1)]
    assert not seeds[0].equals(seeds[1])


def test_only_what_is_lost_is_done_again(again, monkeypatch):
    recipe, run, out = again
    plan = compare.entries(recipe, run, out, NAMES, seeds=2)
    assert shards_of(plan) == set()
    more = compare.entries(recipe, run, out, NAMES, seeds=3)
    assert shards_of(more) == {f"{name}-seed-2" for name in NAMES[2:]}
    os.remove(out.path("predictions/t2i_pal_standardised-seed-1.parquet"))
    assert shards_of(plan) == {"t2i_pal_standardised-seed-1"}
    tuned = []
    monkeypatch.setattr(session, "tune", lambda *given: tuned.append(given))
    (group,) = groups(plan)
    assert [report.stage for report in compare.complete_here(group)] == ["t2i_pal_standardised-seed-1"]
    assert not tuned  # the trial's parameters are there
    assert shards_of(plan) == set()


def test_tuning_goes_on_from_where_it_was_killed(again, monkeypatch):
    recipe, run, out = again
    plan = [e for e in compare.entries(recipe, run, out, ["t2i_pal"], seeds=2) if e.trial.seed == 1]
    trial = plan[0].trial
    whole = out.read_bytes(trial.tuned)
    for name in (trial.result, trial.tuned, trial.progress, "predictions/t2i_pal-seed-1.parquet"):
        os.remove(out.path(name))

    def killed(trial):
        def stop(entry):
            if entry["epoch"] == 2:
                raise KeyboardInterrupt

        run_tuning(trial, stop)

    run_tuning = session.run_tuning
    monkeypatch.setattr(session, "run_tuning", killed)
    with pytest.raises(KeyboardInterrupt):
        compare.complete_here(plan)
    epochs = []
    monkeypatch.setattr(
        session, "run_tuning", lambda trial: run_tuning(trial, lambda e: epochs.append(e["epoch"]))
    )
    compare.complete_here(plan)
    assert epochs == [3]
    assert out.read_bytes(trial.tuned) == whole
    assert shards_of(plan) == set()


@pytest.mark.parametrize("damaged", [b"", b"cut short", None], ids=["empty", "cut", "gone"])
def test_tuned_parameters_that_are_not_whole_are_made_again(again, damaged):
    recipe, run, out = again
    (entry,) = compare.entries(recipe, run, out, ["t2i_pal"], seeds=1)
    trial = entry.trial
    whole = out.read_bytes(trial.tuned)
    out.delete(trial.tuned)
    if damaged is not None:
        out.write_bytes(trial.tuned, damaged)
    compare.complete_here([entry])
    assert out.read_bytes(trial.tuned) == whole


def test_tuned_parameters_that_have_changed(again):
    recipe, run, out = again
    (entry,) = compare.entries(recipe, run, out, ["t2i_pal"], seeds=1)
    trial = entry.trial
    whole = out.read_bytes(trial.tuned)
    os.remove(out.path(f"predictions/{entry.shard}.parquet"))
    out.write_bytes(trial.tuned, whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"seed-0/tuned.* have changed .*\n.*delete them"):
        compare.complete_here([entry])
    out.delete(trial.tuned)  # as it says
    compare.complete_here([entry])
    assert out.read_bytes(trial.tuned) == whole


@pytest.mark.parametrize(
    "damaged", [lambda whole: b"{", lambda whole: b"", lambda whole: b"[]", lambda whole: bytes(len(whole))]
)
def test_a_result_that_is_damaged_is_made_again_from_the_checkpoint(again, monkeypatch, damaged):
    recipe, run, out = again
    plan = compare.entries(recipe, run, out, ["t2i_pal"], seeds=1)
    trial = plan[0].trial
    whole = out.read_bytes(trial.result)
    out.write_bytes(trial.result, damaged(whole))
    monkeypatch.setattr(loop, "_tune_phase", lambda *given: pytest.fail("an epoch was trained again"))
    compare.complete_here(plan)
    assert out.read_bytes(trial.result) == whole


T2I_PAL = {f"{name}-seed-{seed}" for name in NAMES if name.startswith("t2i_pal") for seed in (0, 1)}


@pytest.mark.parametrize(
    ("section", "changes", "missing"),
    [
        ("tai_dpt", {"mix": 0.9}, {"tai_dpt-seed-0", "tai_dpt-seed-1"}),
        ("t2i_pal", {"alpha": 0.9}, T2I_PAL | {"supervised-seed-0", "supervised-seed-1"}),
        # What the ablation and the upper bound switch off anyway.
        ("t2i_pal", {"caption_branch": False}, {s for s in T2I_PAL if "captions" not in s}),
        ("pvp", {"noise": 0.9}, set()),
        ("t2i_pal_pvp", {"share": 0.9}, set()),
    ],
)
def test_other_settings_of_a_method_make_its_own_entries_missing(again, section, changes, missing):
    recipe, run, out = again
    other = with_settings(recipe, section, **changes)
    assert shards_of(compare.entries(other, run, out, NAMES, seeds=2)) == missing


def test_other_photos_to_test_on_make_all_figures_missing_but_no_tuning(again):
    recipe, run, out = again
    shards = out.shards(features.TEST)
    shards.write("test-00000", shards.read("test-00000").slice(0, 11), shards.done()["test-00000"].extra)
    plan = compare.entries(recipe, run, out, NAMES, seeds=2)
    assert len(shards_of(plan)) == len(plan)
    assert all(entry.trial.is_done() for entry in plan if not entry.name.startswith("zero_shot"))


def test_other_labelled_photos_make_the_upper_bound_missing_alone(again):
    recipe, run, out = again
    shards = out.shards(features.TRAIN)
    shards.write("train-00000", shards.read("train-00000").slice(0, 11), shards.done()["train-00000"].extra)
    plan = compare.entries(recipe, run, out, NAMES, seeds=2)
    assert shards_of(plan) == {"supervised-seed-0", "supervised-seed-1"}


def test_a_bundle_is_measured_as_its_run_was(again):
    recipe, run, out = again
    found = compare.of_recognizer(Recognizer.load(f"{run.uri}/bundle"), recipe, out)
    expected = run.read_json("evaluation/metrics.json")
    assert found["methods"] == {"t2i_pal": expected["methods"]["t2i_pal"]}
    for key in ("dataset", "split", "images"):
        assert found[key] == expected[key]
    assert out.shards(compare.TABLE).read("t2i_pal").num_rows == 12


@pytest.mark.parametrize("gpu", [True, False])
def test_only_what_is_tuned_gets_a_gpu(tmp_path, gpu):
    store = Store.open(str(tmp_path))
    names = ["zero_shot", "zero_shot_standardised", "t2i_pal", "t2i_pal+dual_coop-shots-1"]
    plan = compare.entries(tiny_recipe(tune={"gpu": gpu}), store, store, names, seeds=1)
    assert [compare._on_gpu([entry]) for entry in plan] == [False, False, gpu, gpu]
