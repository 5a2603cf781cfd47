"""The cluster launcher's files are held against Ray's own schema; no cloud is asked."""

import copy
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.aws import config as aws
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


def test_every_node_has_an_image_that_the_packages_run_on_and_leave_to_write_runs(config):
    for name, node in config["available_node_types"].items():
        assert "ubuntu-22.04" in node["node_config"]["ImageId"]
        expected = "t2ipal-head" if name == config["head_node_type"] else "t2ipal-worker"
        assert node["node_config"]["IamInstanceProfile"] == {"Name": expected}


def test_ray_leaves_image_and_profile_as_they_are(config):
    before = copy.deepcopy(config)
    prepared = prepare_config(config)
    aws._configure_iam_role(prepared)
    aws._check_ami(prepared)
    for name, node in before["available_node_types"].items():
        after = prepared["available_node_types"][name]["node_config"]
        for key in ("ImageId", "IamInstanceProfile"):
            assert after[key] == node["node_config"][key]


def test_uv_is_where_the_commands_call_it(config):
    install, *others = config["setup_commands"]
    assert install.startswith("test -x ~/.local/bin/uv ||")
    assert any("~/.local/bin/uv sync" in each for each in others)


def test_gpu_workers_scale_from_zero_on_spot_instances_and_say_so(config):
    gpu = [node for node in config["available_node_types"].values() if node["resources"].get("GPU")]
    assert gpu
    for node in gpu:
        assert node["min_workers"] == 0 < node["max_workers"]
        assert node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
        assert node["labels"]["ray.io/market-type"] == "spot"
