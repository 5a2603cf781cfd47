"""The job on a cluster that is empty at first: nodes come up for their stages, and go away after them."""

import json

import pytest

from jobs.verify import main as verify
from tests.faults.cluster import until
from tests.jobs_submit.pools import autoscaling_cluster
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_folder
from tests.tiny_models import save_painter, save_writer
from tests.tuning.tiny_set import tiny_settings

# What takes 4 minutes alone may take three times as long where others use the cores.
pytestmark = [pytest.mark.slow, pytest.mark.whole_job, pytest.mark.timeout(1800)]

# Logical CPUs of a node tell the pools apart: a stage finds no room on those of the stages before.
POOLS = {"writers": 2, "painters": 3, "cpu": 4}
STAGES = "captions,images,features,tune,evaluate,bundle"
WORDS = ["fish", "house", "tree", "write", "caption", "with", "."]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    writer, painter = (tmp_path_factory.mktemp(name) for name in ("writer", "painter"))
    save_writer(writer, WORDS)
    save_painter(painter)
    return tiny_recipe(
        captions={
            "model": str(writer),
            "count": 48,
            "max_tokens": 4,
            "engine": {"max_model_len": 32, "enforce_eager": True, "dtype": "float32"},
            "workers": {"cpus": 1.5},
        },
        images={"model": str(painter), "shard_rows": 1, "steps": 60, "workers": {"cpus": 3.0}},
        backbone={"model": tiny_folder("resnet")},
        features={"workers": {"cpus": 4.0}},
        methods=tiny_settings(epochs=2).model_dump(mode="json"),
        tune={"workers": 1},
        evaluate={"dataset": None},
    )


def written(run, table):
    """Return when the shards of a table were written, in ms, in the order of their writing."""
    return sorted(path.stat().st_mtime_ns // 10**6 for path in run.glob(f"{table}/_manifests/*.json"))


def test_pools_come_up_for_their_stages_and_a_node_is_lost(recipe, tmp_path):
    file, run = tmp_path / "recipe.yaml", tmp_path / "run"
    file.write_text(json.dumps(recipe.settings()))  # which is YAML
    job = ["--recipe", str(file), "--run", str(run), "--stages", STAGES]
    with autoscaling_cluster(POOLS) as cluster:
        assert cluster.nodes() == []
        with cluster.head.start(cluster.head.submission(*job, submission="pools")) as following:
            until(lambda: bool(written(run, "images")) or following.poll() is not None)
            (lost,) = cluster.alive("painters")
            cluster.kill(lost)
            before = len(written(run, "images"))
            output, _ = following.communicate()
        assert following.returncode == 0, output
        until(lambda: all(node.end for node in cluster.nodes()))
        nodes = cluster.nodes()

    captions, images = written(run, "captions"), written(run, "images")
    assert 0 < before < len(images)
    writers, painters, cpu = ([node for node in nodes if node.pool == pool] for pool in POOLS)
    assert writers[0].begin < captions[0]
    assert captions[-1] < painters[0].begin  # not before there is work for it
    assert writers[0].end < images[-1]  # nor as long as the job
    assert painters[0].node_id == lost.node_id
    assert len(painters) > 1
    assert images[-1] < cpu[0].begin
    assert verify([str(run)]) == 0
    assert "stage=tune" in output
    assert "stage=bundle" in output
