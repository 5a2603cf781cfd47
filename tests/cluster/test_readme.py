"""What the README says of clusters can be done, as far as that shows without one."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from ray.scripts.scripts import cli

from jobs.pipeline import _parse
from tests.cluster.files import ROOT
from tests.cluster.schemas import KUBERAY, faults
from tests.cluster.test_alike import PROJECT

README = ROOT / "README.md"
VALUES = {"BUCKET": "my-bucket", "REGISTRY": "registry.example.com/me", "kind": "gpu"}


def commands(title):
    """The commands of a section, as words, without the comments behind them."""
    section = re.search(rf"(?ms)^### {title}\n(.*?)(?=^##)", README.read_text()).group(1)
    lines = re.findall(r"(?m)^    (.*)$", section.replace("\\\n", " "))
    return [re.sub(r"\s+# .*", "", line).strip() for line in lines]


def words(command):
    for name, value in VALUES.items():
        command = command.replace(f"${name}", value)
    return shlex.split(command)


RAY = [each for title in ("On AWS",) for each in commands(title) if " ray " in each]


@pytest.mark.parametrize("command", RAY, ids=lambda command: " ".join(command.split()[:8]))
def test_ray_knows_the_command_and_the_file_is_there(command):
    prefix, _, rest = command.partition(" ray ")
    for extra in re.findall(r"--extra (\w+)", prefix):
        assert extra in PROJECT["project"]["optional-dependencies"]
    given, _, entry = rest.partition(" -- ")
    arguments, group = words(given), cli
    while hasattr(group, "commands"):  # `ray job submit`
        group = group.commands[arguments.pop(0)]
    context = group.make_context("ray", [*arguments, *(["--", *words(entry)] if entry else [])])
    if file := context.params.get("cluster_config_file"):
        assert (ROOT / file).is_file()
    if entry:
        python, script, *rest = words(entry)
        assert python == "python"
        assert (ROOT / script).is_file()
        parsed = _parse(rest)
        assert (ROOT / parsed.recipe).is_file()
        assert parsed.run == f"s3://{VALUES['BUCKET']}/runs/photos"
        assert parsed.serve


def test_files_and_targets_on_kubernetes_are_there():
    for command in commands("On Kubernetes"):
        for path in re.findall(r"(?:-f |--file |=)((?:cluster|jobs)/[\w./]+)", command):
            assert (ROOT / path).is_file(), path
    (loop,) = [each for each in commands("On Kubernetes") if each.startswith("for ")]
    dockerfile = (ROOT / "cluster" / "Dockerfile").read_text()
    for target in re.search(r"in (.+); do", loop).group(1).split():
        assert re.search(rf"(?m)^FROM \w+ AS {target}$", dockerfile)


def test_the_operator_is_the_one_whose_schema_is_kept():
    (operator,) = [each for each in commands("On Kubernetes") if "?ref=" in each]
    assert f"?ref={KUBERAY.stem.removeprefix('kuberay_')}" in operator


@pytest.mark.parametrize("name", ["job", "service"])
def test_what_is_applied_is_valid_and_the_users_own(name):
    (command,) = [each for each in commands("On Kubernetes") if f"kuberay/{name}.yaml" in each]
    sed, _, _ = command.partition(" | ")
    done = subprocess.run(
        ["bash", "-c", sed], cwd=ROOT, env=os.environ | VALUES, capture_output=True, text=True, check=True
    )
    manifest = yaml.safe_load(done.stdout)
    assert faults(manifest) == []
    assert "BUCKET" not in done.stdout
    assert f"s3://{VALUES['BUCKET']}/runs/photos" in done.stdout
    images = re.findall(r"image: (\S+)", done.stdout)
    assert images
    assert all(image.startswith(f"{VALUES['REGISTRY']}/t2ipal:") for image in images)


def test_secrets_and_configurations_have_the_names_that_pods_ask_for():
    made = [words(each) for each in commands("On Kubernetes") if each.startswith("kubectl create ")]
    secrets = {each[4] for each in made if each[2:4] == ["secret", "generic"]}
    maps = {each[3] for each in made if each[2] == "configmap"}
    text = "".join(path.read_text() for path in Path(ROOT / "cluster" / "kuberay").glob("*.yaml"))
    assert set(re.findall(r"secretKeyRef: \{name: ([\w-]+)", text)) == secrets
    assert set(re.findall(r"configMap: \{name: ([\w-]+)", text)) == maps


@pytest.mark.parametrize("title", ["On AWS", "On Kubernetes"])
def test_a_path_is_under_a_page(title):
    section = re.search(rf"(?ms)^### {title}\n(.*?)(?=^##)", README.read_text()).group(1)
    assert len(section.splitlines()) < 45
