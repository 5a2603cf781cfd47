"""A sweep in this process; with Ray Tune it does the same on workers (test_sweep_ray)."""

import shutil

import pytest

from t2ipal.stages import compare, features, sweep
from t2ipal.store import Store
from t2ipal.tuning.grid import points_of
from t2ipal.verification import not_looked_at, verify, verify_files
from tests.finished_images import compute_features

GIVEN = ["methods.t2i_pal.alpha=0.2,0.8", "tune.seed=0,1"]


@pytest.fixture(scope="module")
def swept(finished, tmp_path_factory):
    """The finished run, and a sweep on it."""
    recipe, run, *_ = finished
    out = Store.open(str(tmp_path_factory.mktemp("sweep")))
    out.claim(recipe)
    compute_features(recipe, out, [features.TEST])
    points = points_of(recipe, GIVEN)
    plan = sweep.entries(points, run, out)
    assert not any(entry.is_done() for entry in plan)
    for entry in plan:
        compare.complete_here([entry])
    return recipe, run, out, points, plan


def test_every_point_has_a_trial_of_its_own(swept):
    *_, points, plan = swept
    assert len({entry.trial.folder for entry in plan}) == len({entry.shard for entry in plan}) == 4
    for point, entry in zip(points, plan, strict=True):
        assert entry.is_done()
        assert entry.trial.recipe.methods.t2i_pal.alpha == point.settings["methods.t2i_pal.alpha"]
        assert entry.trial.seed == point.settings["tune.seed"]


def test_the_point_of_the_recipe_is_what_a_job_tunes(swept):
    recipe, run, out, *_ = swept
    assert recipe.methods.t2i_pal.alpha == 0.2
    job, ours = compare.Trial.of(recipe, run), swept[4][0].trial
    assert run.read_bytes(job.tuned) == out.read_bytes(ours.tuned)
    others = {out.read_bytes(entry.trial.tuned) for entry in swept[4]}
    assert len(others) == 4


def test_the_summary_has_means_over_seeds(swept):
    recipe, _, out, points, plan = swept
    found = sweep.summary(points, plan, recipe, out)
    assert (found["dataset"], found["split"], found["images"]) == (recipe.evaluate.dataset, "test", 12)
    assert [point["settings"] for point in found["points"]] == [
        {"methods.t2i_pal.alpha": 0.2},
        {"methods.t2i_pal.alpha": 0.8},
    ]
    manifests = out.shards(compare.TABLE).done()
    for at, point in enumerate(found["points"]):
        values = [manifests[entry.shard].extra["figures"]["mAP"] for entry in plan[2 * at : 2 * at + 2]]
        assert point["seeds"] == [0, 1]
        assert point["mAP"]["mean"] == pytest.approx(sum(values) / 2, abs=1e-3)
        assert point["mAP"]["seeds"] == pytest.approx(values, abs=1e-3)
    best = max(found["points"], key=lambda point: point["mAP"]["mean"])
    assert found["best"] == best["settings"]


def test_further_values_leave_what_is_there(swept, tmp_path):
    recipe, run, out, *_ = swept
    again = Store.open(str(shutil.copytree(out.root, tmp_path / "copy")))
    again.claim(recipe)
    points = points_of(recipe, ["methods.t2i_pal.alpha=0.5,0.8", "tune.seed=1,2"])
    done = [entry.is_done() for entry in sweep.entries(points, run, again)]
    assert done == [False, False, True, False]


def test_points_that_differ_in_nothing_that_is_read_are_done_once(swept):
    recipe, run, out, *_ = swept
    points = points_of(recipe, ["tune.method=t2i_pal,tai_dpt", "methods.tai_dpt.mix=0.1,0.2"])
    plan = sweep.entries(points, run, out)
    assert [entry.is_done() for entry in plan] == [True, True, False, False]
    assert len({entry.shard for entry in plan}) == 3


def test_a_finished_sweep_needs_no_ray(swept):
    told = []
    report = sweep.complete(swept[4], told.append)
    assert report.already_complete
    assert (report.rows, told) == (4, [])


def test_nothing_in_the_folder_of_a_sweep_is_foreign(swept):
    recipe, _, out, *_ = swept
    out.write_bytes("ray/tune/tuner.pkl", b"")  # as Ray Tune does, where it is what runs the trials
    found = [fault for look in (verify, verify_files) for each in look(recipe, out) for fault in each.faults]
    assert found == []
    assert not_looked_at(out) == ["comparisons and sweeps", "notes of Ray"]
