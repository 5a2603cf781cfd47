"""What the files of cluster/ say is the same in all of them, and the same as elsewhere."""

import re
import tomllib
from importlib.metadata import version
from itertools import pairwise

import pytest
import yaml

from t2ipal.recipe import load_recipe
from tests.cluster.files import FOLDER, KUBERAY, LAUNCHER, ROOT, WHOLE_CLUSTERS, labels_of_nodes, manifests
from tests.cluster.test_dockerfile import FILE, TARGETS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLUSTERS = [*LAUNCHER, *(FOLDER / "kuberay" / f"{name}.yaml" for name in WHOLE_CLUSTERS)]
RECIPES = sorted((ROOT / "jobs" / "recipes").glob("*.yaml"))
EVERY_FILE = [path for path in sorted(FOLDER.rglob("*")) if path.is_file()]


def synced(path):
    """The arguments of `uv sync` in a file of the launcher."""
    commands = yaml.safe_load(path.read_text())["setup_commands"]
    (found,) = [re.search(r"uv sync (.+)", each) for each in commands if "uv sync" in each]
    return found.group(1).split()


def labels_in(recipe):
    """The labels that stages choose nodes by, by key of the recipe."""
    pools = {"images": recipe.images, "features": recipe.features, "tune": recipe.tune}
    if recipe.captions is not None:
        pools["captions"] = recipe.captions
    found = {name: section.workers.labels for name, section in pools.items()} | {"serve": recipe.serve.labels}
    return {name: labels for name, labels in found.items() if labels}


def test_nodes_have_the_same_python_everywhere():
    versions = {synced(path)[synced(path).index("--python") + 1] for path in LAUNCHER}
    image = re.search(r"FROM python:(\d+\.\d+)", FILE.read_text())
    assert versions == {image.group(1)}
    (minor,) = versions
    least, below = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["project"]["requires-python"]).groups()
    assert int(least) <= int(minor.removeprefix("3.")) < int(below)


@pytest.mark.parametrize("path", LAUNCHER, ids=lambda path: path.stem)
def test_nodes_have_the_packages_of_pyproject(path):
    words = synced(path)
    assert "--no-default-groups" in words
    extras = {word for before, word in pairwise(words) if before == "--extra"}
    assert extras == {"gpu", path.stem}
    assert extras <= set(PROJECT["project"]["optional-dependencies"])


def test_what_starts_machines_is_pinned_once():
    pins = dict(pin.split("==") for pin in PROJECT["tool"]["uv"]["constraint-dependencies"])
    extras = PROJECT["project"]["optional-dependencies"]
    for requirement in (*extras["aws"], *extras["gcp"]):
        name, _, exact = requirement.partition("==")
        assert exact
        assert pins.get(name, exact) == exact


def test_ray_is_the_one_that_is_installed():
    named = re.findall(r"(?m)^\s*rayVersion: (\S+)$", "".join(path.read_text() for path in KUBERAY))
    assert set(named) == {version("ray")}


def test_images_are_the_targets_of_the_dockerfile():
    named = re.findall(r"image: (t2ipal:\S+)", "".join(path.read_text() for path in KUBERAY))
    assert set(named) == {f"t2ipal:{target}" for target in TARGETS}
    for target in TARGETS:
        assert f"--target {target} --tag t2ipal:{target} ." in FILE.read_text()


def test_a_recipe_for_clusters_names_pools():
    assert set(labels_in(load_recipe(ROOT / "jobs" / "recipes" / "photos.yaml"))) == {
        "captions",
        "images",
        "features",
        "tune",
        "serve",
    }


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_cluster_has_the_nodes_that_recipes_ask_for(path, cluster):
    nodes = labels_of_nodes(cluster)
    for key, labels in labels_in(load_recipe(path)).items():
        assert any(labels.items() <= node.items() for node in nodes), (key, labels)


SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|AIza[\w-]{30}|ghp_\w{30}|hf_\w{30}"
    r"|(?i:(password|secret|token|access_?key)\w*: *['\"]?[^\s{'\"&*]{6,})"
)


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: path.name)
def test_no_file_holds_a_secret(path):
    assert not SECRET.search(path.read_text())


@pytest.mark.parametrize(
    "line",
    [
        "aws_secret_access_key: wJalrXUtnFEMIbPxRfiCYEXAMPLE",
        "AKIAIOSFODNN7EXAMPLE",
        "password: hunter2hunter2",
    ],
)
def test_a_secret_would_be_found(line):
    assert SECRET.search(line)


def test_passwords_of_containers_are_references():
    def values(part):
        if isinstance(part, dict):
            if "name" in part and re.search("(?i)password|secret|token|key$", str(part["name"])):
                yield part
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                yield from values(each)

    found = [each for path in KUBERAY for each in values(manifests(path)) if "value" in each]
    assert found == []
