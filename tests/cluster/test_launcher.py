"""The cluster launcher's files are held against Ray's own schema; no cloud is asked."""

import copy
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FOLDER = Path(__file__).parents[2] / "cluster"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def config(request):
    return yaml.safe_load(request.param.read_text())


def test_there_is_a_file():
    assert FOLDER / "aws.yaml" in FILES


def test_ray_accepts_it(config):
    validate_config(prepare_config(copy.deepcopy(config)))


def test_ray_would_refuse_a_typo(config):
    config["available_node_types"]["head"]["min_worker"] = 1
    with pytest.raises(Exception, match="min_worker"):
        validate_config(prepare_config(config))


def test_the_head_runs_no_work(config):
    assert config["available_node_types"][config["head_node_type"]]["resources"]["CPU"] == 0


def test_gpu_workers_scale_from_zero_on_spot_instances_and_say_so(config):
    gpu = [node for node in config["available_node_types"].values() if node["resources"].get("GPU")]
    assert gpu
    for node in gpu:
        assert node["min_workers"] == 0 < node["max_workers"]
        assert node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
        assert node["labels"]["ray.io/market-type"] == "spot"
