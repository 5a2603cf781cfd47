"""The stages run on the nodes that the recipe's labels name, on a real cluster."""

from pathlib import Path

import pytest
import ray
import yaml
from ray.data import ActorPoolStrategy

from t2ipal.recipe import Ranks, load_recipe
from t2ipal.stages import compare, features, sweep
from t2ipal.stages.engine import placement_group_of_its_own
from t2ipal.stages.ray_data import quiet_ray_data
from t2ipal.store import Store
from t2ipal.tuning.grid import points_of
from tests.cluster.labelled import POOL, connected, labelled_nodes
from tests.faults.driver import Driver
from tests.finished_images import compute_features, finished_images

pytestmark = [pytest.mark.slow, pytest.mark.whole_job, pytest.mark.timeout(1200)]

OFFLINE = Path(__file__).parents[2] / "jobs" / "recipes" / "offline.yaml"

# What runs in each stage, by the titles of its processes, and where it is to run.
WHERE = {
    "vLLMEngine": "writers",
    "ShardPainter": "painters",
    "FeatureExtractor": "writers",
    "RayTrainWorker": "tuners",
    "ServeReplica:t2ipal:Replica": "painters",
}
TRIAL, SCORED = "ImplicitFunc", "complete_here"  # of Ray Tune, and a task


def small_recipe(folder):
    """The offline recipe with little to do, whose stages choose nodes."""
    recipe = yaml.safe_load(OFFLINE.read_text())
    recipe["captions"] |= {"count": 96, "workers": {"labels": {POOL: "writers"}}}
    recipe["images"] |= {"captions": 32, "steps": 2, "workers": {"labels": {POOL: "painters"}}}
    recipe["features"]["workers"] = {"labels": {POOL: "writers"}}
    recipe["methods"]["t2i_pal"]["schedule"]["epochs"] = 2
    recipe["tune"]["workers"] = {"min": 2, "max": 2, "labels": {POOL: "tuners"}}
    recipe["serve"] |= {"labels": {POOL: "painters"}, "port": 8769}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return load_recipe(path)


def test_all_parts_of_the_job_run_where_their_labels_say(tmp_path):
    recipe, store = small_recipe(tmp_path), Store.open(str(tmp_path / "run"))
    with labelled_nodes("writers", "painters", "tuners") as nodes, nodes.watched(list(WHERE)) as seen:
        stages = "captions,images,features,tune,evaluate,bundle,deploy"
        Driver.of(nodes, recipe, store, stages, tmp_path).run()
    assert seen == {name: {pool} for name, pool in WHERE.items()}


def test_trials_of_comparisons_and_sweeps_are_parts_that_do(tmp_path):
    recipe, run = finished_images(tmp_path)
    tuned = recipe.tune.model_copy(update={"workers": Ranks(labels={POOL: "tuners"})})
    recipe = recipe.model_copy(update={"tune": tuned})
    compute_features(recipe, run)
    plan = compare.entries(recipe, run, run, ["zero_shot"], seeds=1)
    out = Store.open(str(tmp_path / "sweep"))
    out.claim(recipe)
    compute_features(recipe, out, [features.TEST])
    points = sweep.entries(points_of(recipe, ["methods.t2i_pal.alpha=0.2"]), run, out)
    with (
        labelled_nodes("painters", "tuners") as nodes,
        connected(nodes),
        nodes.watched([TRIAL, SCORED]) as seen,
    ):
        list(compare.complete(plan))
        sweep.complete(points, lambda report: None)
    assert seen == {TRIAL: {"tuners"}, SCORED: {"tuners"}}


class Where:
    def __call__(self, batch):
        batch["pool"] = [ray.get_runtime_context().get_node_labels().get(POOL)] * len(batch["id"])
        return batch


def test_an_engine_of_several_parts_has_them_all_there():
    """As of a language model on several GPUs, which cannot be had here: the same options with CPUs."""
    parts = [{"CPU": 0.5}] * 2  # which leaves a CPU of the node for reading
    with labelled_nodes("painters", "writers") as nodes, connected(nodes):
        with quiet_ray_data(labels={POOL: "writers"}):
            rows = ray.data.range(8, override_num_blocks=2).map_batches(
                Where,
                compute=ActorPoolStrategy(size=1),
                num_cpus=0.5,
                batch_size=None,
                ray_remote_args_fn=lambda: placement_group_of_its_own(parts, {POOL: "writers"}),
            )
            pools = {row["pool"] for row in rows.iter_rows()}
        (group,) = ray.util.placement_group_table().values()
        labels = {node["NodeID"]: node["Labels"] for node in ray.nodes()}
    assert pools == {"writers"}
    assert {labels[node][POOL] for node in group["bundles_to_node_id"].values()} == {"writers"}
