"""The cluster launcher's files are held against Ray's own schema; no cloud is asked."""

import copy

import pytest
import yaml
from ray.autoscaler._private.aws import config as aws
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.common_pb2 import LABEL_OPERATOR_IN

from tests.cluster.files import FOLDER, LAUNCHER

AWS = FOLDER / "aws.yaml"
PAINTERS = {"t2ipal/pool": "painters"}


@pytest.fixture(params=LAUNCHER, ids=lambda path: path.stem)
def config(request):
    return yaml.safe_load(request.param.read_text())


def on_aws():
    return yaml.safe_load(AWS.read_text())


def types(config):
    return config["available_node_types"]


def workers(config):
    return {name: node for name, node in types(config).items() if name != config["head_node_type"]}


def is_spot(node):
    """As the cloud is told, not as the label says."""
    told = node["node_config"]
    spot = told.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    return spot or told.get("scheduling", {}).get("provisioningModel") == "SPOT"


def test_there_is_one_for_each_cloud():
    assert [path.stem for path in LAUNCHER] == ["aws", "gcp"]


def test_ray_accepts_it(config):
    validate_config(prepare_config(copy.deepcopy(config)))


@pytest.mark.parametrize("typo", ["min_worker", "prioritys"])
def test_ray_would_refuse_a_typo(config, typo):
    types(config)["head"][typo] = 1
    with pytest.raises(Exception, match=typo):
        validate_config(prepare_config(config))


def test_the_head_runs_no_work(config):
    assert types(config)[config["head_node_type"]]["resources"]["CPU"] == 0


def test_every_node_on_aws_has_an_image_that_the_packages_run_on_and_leave_to_write_runs():
    config = on_aws()
    for name, node in types(config).items():
        assert "ubuntu-22.04" in node["node_config"]["ImageId"]
        expected = "t2ipal-head" if name == config["head_node_type"] else "t2ipal-worker"
        assert node["node_config"]["IamInstanceProfile"] == {"Name": expected}


def test_ray_leaves_image_and_profile_as_they_are():
    config = on_aws()
    before = copy.deepcopy(config)
    prepared = prepare_config(config)
    aws._configure_iam_role(prepared)
    aws._check_ami(prepared)
    for name, node in types(before).items():
        after = types(prepared)[name]["node_config"]
        for key in ("ImageId", "IamInstanceProfile"):
            assert after[key] == node["node_config"][key]


def test_every_node_on_google_cloud_has_the_driver_and_leave_to_write_runs():
    config = yaml.safe_load((FOLDER / "gcp.yaml").read_text())
    for node in types(config).values():
        (disk,) = node["node_config"]["disks"]
        assert "2204-amd64-with-nvidia" in disk["initializeParams"]["sourceImage"]
    for node in workers(config).values():
        (account,) = node["node_config"]["serviceAccounts"]
        assert account["email"].endswith(f"@{config['provider']['project_id']}.iam.gserviceaccount.com")


def test_ray_runs_none_of_its_own_commands_beside_ours(config):
    before = copy.deepcopy(config)
    after = prepare_config(config)
    for key in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        assert after[key] == before[key]
    assert after["head_setup_commands"] == before["setup_commands"]
    assert after["worker_setup_commands"] == before["setup_commands"]


def test_uv_is_where_the_commands_call_it(config):
    install, *others = config["setup_commands"]
    assert install.startswith("test -x ~/.local/bin/uv ||")
    assert any("~/.local/bin/uv sync" in each for each in others)


def test_workers_come_from_zero_go_when_idle_and_leave_room_for_features(config):
    assert config["idle_timeout_minutes"] == 5
    for node in workers(config).values():
        assert node["min_workers"] == 0 < node["max_workers"]
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("--object-store-memory=" in command for command in config[key])


def test_labels_say_what_a_node_is(config):
    pools = {name: node["labels"]["t2ipal/pool"] for name, node in types(config).items()}
    assert set(pools.values()) == {"head", "cpu", "writers", "painters"}
    for name, node in types(config).items():
        assert node["labels"]["ray.io/market-type"] == ("spot" if is_spot(node) else "on-demand")
        assert bool(node["resources"].get("GPU")) == (pools[name] in ("writers", "painters"))


def test_painters_are_spot_or_else_the_same_machines_on_demand(config):
    spot, other = (node for node in workers(config).values() if PAINTERS.items() <= node["labels"].items())
    assert (is_spot(spot), is_spot(other)) == (True, False)
    assert spot["resources"] == other["resources"]
    machine = "InstanceType" if "InstanceType" in spot["node_config"] else "machineType"
    assert spot["node_config"][machine] == other["node_config"][machine]
    assert sum(is_spot(node) for node in workers(config).values()) == 1


def launched(config, labels, count, failing=()):
    """What Ray's autoscaler starts, by type of node, for so many actors with a GPU on nodes with labels; of
    the failing types a node did not come up just before.
    """
    settings = AutoscalingConfig(prepare_config(copy.deepcopy(config)), skip_content_hash=True)
    wanted = [[(key, LABEL_OPERATOR_IN, [value]) for key, value in labels.items()]]
    actor = ResourceRequestUtil.make({"CPU": 1, "GPU": 1}, label_selectors=wanted)
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=settings.get_node_type_configs(),
        max_num_nodes=settings.get_max_num_nodes(),
        resource_requests=ResourceRequestUtil.group_by_count([actor] * count),
        recoverable_resource_availabilities=dict.fromkeys(failing, 0.0),
    )
    reply = ResourceDemandScheduler().schedule(request)
    return {each.instance_type: each.count for each in reply.to_launch if each.instance_type != "head"}


def test_the_autoscaler_starts_nodes_of_the_pool_that_a_stage_asks_for(config):
    assert launched(config, {"t2ipal/pool": "writers"}, 2) == {"writer": 2}
    assert launched(config, PAINTERS, 2) == {"painter_spot": 2}
    assert launched(config, PAINTERS | {"ray.io/market-type": "on-demand"}, 2) == {"painter_on_demand": 2}
    assert launched(config, {"t2ipal/pool": "sculptors"}, 2) == {}


def test_painters_fall_back_to_nodes_on_demand(config):
    most = types(config)["painter_spot"]["max_workers"]
    assert launched(config, PAINTERS, most + 2) == {"painter_spot": most, "painter_on_demand": 2}
    assert launched(config, PAINTERS, 2, failing=["painter_spot"]) == {"painter_on_demand": 2}
