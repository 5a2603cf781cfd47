"""Features on an actor pool and tuning on two workers of Ray Train."""

import pytest
from safetensors.torch import load

from t2ipal.errors import UserError
from t2ipal.stages import features, tune
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images
from tests.whole_table import read_all

PARTS = ("checking", "loading", "steps", "checkpoints", "thresholds", "around")


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """One run by a pool and two workers, and the same run in this process."""
    folder = tmp_path_factory.mktemp("recognizer")
    two = {"features": {"workers": {"min": 1, "max": 2, "cpus": 0.5}}, "tune": {"workers": 2}}
    return finished_images(folder / "pool", **two), finished_images(folder / "alone")


def test_a_pool_computes_what_one_process_does(ray_cluster, pools):
    (recipe, store), (alone_recipe, alone) = pools
    report = features.run(recipe, store)
    assert (report.rows, report.shards_total, report.shards_done_before) == (46 + 24 + 12, 11, 0)
    assert features.pending(recipe, store) == []
    compute_features(alone_recipe, alone)
    for table in ("features", "caption_features", "test_features"):
        assert read_all(store.shards(table)).equals(read_all(alone.shards(table)))


@pytest.mark.timeout(600)  # each worker imports torch, which takes minutes where many processes share a core
def test_two_workers_tune_what_one_process_does(ray_cluster, pools):
    (recipe, store), (alone_recipe, alone) = pools
    report = tune.run(recipe, store)
    assert report.notes["epochs"] == 3
    spent = [float(report.notes[part].removesuffix(" s")) for part in PARTS]
    assert sum(spent) == pytest.approx(report.seconds, abs=0.1 * len(PARTS))
    assert min(spent) >= 0
    assert store.read_json(Trial.of(recipe, store).result)["ranks"] == 2
    tune.run(alone_recipe, alone)
    together, by_itself = (load(each.read_bytes(Trial.of(recipe, store).tuned)) for each in (store, alone))
    assert together.keys() == by_itself.keys()
    for name, value in together.items():
        # AdamW divides by small numbers, so the order of sums shows here more than with SGD.
        assert (value - by_itself[name]).abs().max() < 1e-3


def test_a_worker_that_cannot_start_is_explained(ray_cluster, tmp_path):
    recipe, store = finished_images(tmp_path)
    backbone = recipe.backbone.model_copy(update={"model": "RN50", "pretrained": "openaii"})
    broken = recipe.model_copy(update={"backbone": backbone})
    with pytest.raises(UserError, match=r"features: a worker could not start: .*RN50.*\n.*backbone"):
        features.run(broken, store)


def test_a_damaged_backbone_is_reported_by_name(ray_cluster, tmp_path):
    recipe, store = finished_images(tmp_path)
    (tmp_path / "clip").mkdir()
    backbone = recipe.backbone.model_copy(update={"model": str(tmp_path / "clip")})
    with pytest.raises(UserError, match=r"backbone\.model: .* has no open_clip_config\.json"):
        features.run(recipe.model_copy(update={"backbone": backbone}), store)
