"""Labels that no node has are told before work begins."""

import pytest
import yaml

from jobs.nodes import Node, check_labels, node_types
from t2ipal.errors import UserError
from tests.cluster.files import FOLDER
from tests.recipes import tiny_recipe

POOL = "t2ipal/pool"
ALL = ["captions", "images", "features", "tune", "compare", "deploy"]
HEAD = Node({"CPU": 0.0}, {POOL: "head", "ray.io/node-id": "0", "ray.io/node-group": "head"})
PAINTER = Node({"CPU": 2.0}, {POOL: "painters", "ray.io/market-type": "spot"})
SPOT = {POOL: "painters", "ray.io/market-type": "spot"}


def asking(labels, section="images", **settings):
    return tiny_recipe(**{section: {"workers": {"labels": labels, **settings}}})


def check(recipe, nodes=(HEAD, PAINTER), types=None, grows=False, stages=ALL):
    check_labels(recipe, stages, nodes, types, grows)


def test_nodes_that_are_there_are_not_spoken_of(capsys):
    check(asking(SPOT))
    check(asking({}))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.parametrize("section", ["captions", "images", "features", "tune"])
def test_labels_that_no_node_can_have_are_refused(section, grows):
    recipe = asking({POOL: "sculptors"}, section)
    types = [PAINTER, HEAD] if grows else None
    with pytest.raises(
        UserError, match=f"{section}.workers.labels asks for nodes with t2ipal/pool=sculptors"
    ) as e:
        check(recipe, types=types, grows=grows)
    assert ("no type of nodes" in e.value.problem) == grows
    assert "ray.io/market-type=spot, t2ipal/pool=head, t2ipal/pool=painters" in e.value.remedy
    check(recipe, types=types, grows=grows, stages=[name for name in ALL if name not in (section, "compare")])


def test_so_are_those_of_the_endpoint():
    with pytest.raises(UserError, match=r"serve.labels asks for nodes with t2ipal/pool=nowhere"):
        check(tiny_recipe(serve={"labels": {POOL: "nowhere"}}))


def test_all_labels_have_to_be_one_nodes():
    with pytest.raises(UserError, match="market-type=on-demand"):
        check(asking({POOL: "painters", "ray.io/market-type": "on-demand"}))


def test_nodes_that_may_come_are_waited_for(capsys):
    for types in ([HEAD, PAINTER], None):  # None: as on Kubernetes, which does not say
        check(asking(SPOT), nodes=[HEAD], types=types, grows=True)
        assert "t2ipal/pool=painters, ray.io/market-type=spot now, so it will wait" in capsys.readouterr().out


@pytest.mark.parametrize("amount", [0.0, 1.0])
def test_types_whose_nodes_have_too_little_in_all_are_not_waited_for(amount):
    recipe, some = asking(SPOT, gpus=2), Node({"CPU": 8.0, "GPU": amount}, SPOT)
    with pytest.raises(UserError, match=r"images\.workers needs .* 2 GPUs, and the nodes with .* have less"):
        check(recipe, nodes=[HEAD], types=[some], grows=True)
    check(recipe, nodes=[HEAD], types=[some, Node({"CPU": 8.0, "GPU": 2.0}, SPOT)], grows=True)


def test_what_other_nodes_have_does_not_count(capsys):
    recipe, large = asking(SPOT, cpus=3.0), Node({"CPU": 64.0}, {})
    with pytest.raises(UserError, match=r"images.workers needs 3 CPUs and 0 GPUs, and the nodes with"):
        check(recipe, nodes=[HEAD, PAINTER, large])
    check(recipe, nodes=[HEAD, PAINTER, PAINTER, large])


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_types_of_nodes_are_read_where_ray_up_leaves_its_file(tmp_path, name):
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text((FOLDER / f"{name}.yaml").read_text())
    types = node_types([HEAD], file)
    assert {node.labels[POOL] for node in types} == {"cpu", "writers", "painters"}
    (spot,) = [node for node in types if node.has(SPOT)]
    most = yaml.safe_load(file.read_text())["available_node_types"]["painter_spot"]["max_workers"]
    assert spot.resources["GPU"] == most > 1


def test_a_type_that_may_have_no_node_can_not_come(tmp_path):
    config = yaml.safe_load((FOLDER / "aws.yaml").read_text())
    config["available_node_types"]["painter_spot"]["max_workers"] = 0
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"and the nodes with .* have less"):
        check(asking(SPOT, gpus=1), nodes=[HEAD], types=node_types([HEAD], file), grows=True)


def test_a_file_of_another_cluster_says_nothing(tmp_path):
    file = tmp_path / "ray_bootstrap_config.yaml"
    assert node_types([HEAD], file) is None
    file.write_text(yaml.safe_dump({"head_node_type": "chief", "available_node_types": {}}))
    assert node_types([HEAD], file) is None
