"""The container image, as far as it can be looked at without building one."""

import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from tests.cluster.files import FOLDER, ROOT

FILE = FOLDER / "Dockerfile"
TARGETS = ("cpu", "gpu")


def instructions():
    """The instructions of the file by stage, without comments, each on one line."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", FILE.read_text()))
    stages, name = {}, ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = match.group(2)
            stages[name] = [f"FROM {match.group(1)}"]
        else:
            stages[name].append(" ".join(line.split()))
    return stages


def base_of(stages, name):
    """The stages that a stage is made from, itself first."""
    chain = [name]
    while (base := stages[chain[-1]][0].removeprefix("FROM ")) in stages:
        chain.append(base)
    return chain


def copied_from_the_repository():
    lines = [line for stage in instructions().values() for line in stage]
    copies = [line for line in lines if line.startswith("COPY ") and "--from" not in line]
    return [name for line in copies for name in shlex.split(line)[1:-1]]


def test_a_linter_finds_nothing():
    linter = Path(sys.executable).parent / "hadolint"
    found = subprocess.run([linter, "--no-color", FILE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path):
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(FILE.read_text().replace("USER 1000", "USER root"))
    linter = Path(sys.executable).parent / "hadolint"
    found = subprocess.run([linter, "--no-color", wrong], capture_output=True, text=True, check=False)
    assert "DL3002" in found.stdout
    assert found.returncode == 1


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_as_nobody_special(target):
    assert instructions()[target][-1] == "USER 1000"
    assert "RUN useradd --uid 1000 --create-home t2ipal" in instructions()["system"]


@pytest.mark.parametrize("target", TARGETS)
def test_it_holds_no_tools_of_the_build_and_two_layers_beside_the_system(target):
    stages = instructions()
    assert base_of(stages, target) == [target, "system"]
    layers = [line for line in stages[target] if line.startswith(("RUN", "COPY", "ADD"))]
    assert [line.split()[1] for line in layers] == [f"--from=packages-{target}", "--from=code"]


@pytest.mark.parametrize(("target", "selection"), [("cpu", "--group cpu"), ("gpu", "--extra gpu")])
def test_packages_are_those_of_pyproject(target, selection):
    _, run = instructions()[f"packages-{target}"]
    assert run == f"RUN uv sync --no-default-groups {selection} --no-install-project"


def test_what_it_copies_is_there_and_not_ignored():
    ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignore[0] == "*"
    kept = {line[1:] for line in ignore if line.startswith("!")}
    copied = copied_from_the_repository()
    assert kept == set(copied)
    assert all((ROOT / name).exists() for name in copied)
    dropped = [line for line in ignore[1:] if not line.startswith("!")]
    assert any(fnmatch("jobs/__pycache__", line) for line in dropped)


def test_the_code_is_whole_where_it_is_installed(tmp_path):
    """The command of the stage `code`, with another folder to install into."""
    (command,) = [line for line in instructions()["code"] if line.startswith("RUN uv pip install")]
    words = shlex.split(command.removeprefix("RUN "))
    words[words.index("--target") + 1] = str(tmp_path)
    subprocess.run([*words, "--quiet", "--python", sys.executable], cwd=ROOT, check=True, timeout=120)
    for name in ("jobs/pipeline.py", "jobs/recipes/photos.yaml", "serve/page.html", "serve/app.py"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    weights = "t2ipal/picturebook/weights/clip/open_clip_model.safetensors"
    assert (tmp_path / weights).stat().st_size == (ROOT / weights).stat().st_size
    (installed,) = tmp_path.glob("t2ipal-*.dist-info")
    groups = {point.group for point in PathDistribution(installed).entry_points}
    assert groups == {"vllm.general_plugins"}  # by which vLLM's processes end with their parent
