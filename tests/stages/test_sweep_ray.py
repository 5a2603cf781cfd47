"""A sweep as trials of Ray Tune."""

import pytest

from t2ipal.errors import UserError
from t2ipal.stages import compare, features, sweep
from t2ipal.store import Store
from t2ipal.tuning.grid import points_of
from tests.finished_images import compute_features, finished_images


@pytest.mark.timeout(600)  # workers import torch, which takes minutes where many processes share a core
def test_trials_of_ray_tune_do_what_one_process_does(ray_cluster, tmp_path):
    recipe, run = finished_images(tmp_path)
    compute_features(recipe, run, features.OF_TUNING)
    points = points_of(recipe, ["methods.t2i_pal.alpha=0.2,0.8"])
    plans = []
    for name in ("tune", "here"):
        out = Store.open(str(tmp_path / name))
        out.claim(recipe)
        compute_features(recipe, out, [features.TEST])
        plans.append(sweep.entries(points, run, out))
    told = []
    report = sweep.complete(plans[0], told.append)
    assert (report.rows, report.shards_total, report.shards_done_before) == (2, 2, 0)
    assert {each.stage for each in told} == {entry.shard for entry in plans[0]}
    for entry, other in zip(*plans, strict=True):
        compare.complete_here([other])
        ours, theirs = (each.trial.store.shards(compare.TABLE) for each in (entry, other))
        assert ours.read(entry.shard).equals(theirs.read(other.shard))
        assert entry.trial.store.read_bytes(entry.trial.tuned) == other.trial.store.read_bytes(
            other.trial.tuned
        )
    # Nothing is done again, and what is lost alone.
    assert sweep.complete(plans[0], told.append).already_complete
    plans[0][1].trial.store.shards(compare.TABLE).delete([plans[0][1].shard])
    assert sweep.complete(plans[0], told.append).shards_done_before == 1
    assert [each.stage for each in told[2:]] == [plans[0][1].shard]
    # What a trial cannot do is told as it is, and not tried again.
    (hopeless,) = sweep.entries(points_of(recipe, ["tune.holdout=0.999999"]), run, plans[0][0].trial.store)
    with pytest.raises(UserError, match="there is nothing to tune on"):
        sweep.complete([hopeless], told.append)
    assert len(told) == 3
