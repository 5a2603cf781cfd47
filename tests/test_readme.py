"""What the README says of recipes holds, and jobs take its commands."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from t2ipal.vocabulary import Vocabulary
from tests.test_recipe import DATA, load

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
JOBS = re.findall(r"(?m)^    uv run jobs/(\w+)\.py ?([^#\n]*)", TEXT)
SECTIONS = ("captions", "annotated_captions", "images", "tune")
BLOCKS = re.findall(rf"(?m)^    (?:{'|'.join(SECTIONS)}):\n(?:      .*\n)+", TEXT)


def test_every_section_has_an_example():
    assert sorted(block.split(":")[0].strip() for block in BLOCKS) == sorted(SECTIONS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split(":")[0].strip())
def test_examples_are_parts_of_a_recipe(tmp_path, block):
    ((name, section),) = yaml.safe_load(block).items()
    data = DATA | {name: DATA.get(name, {}) | section} | {"vocabulary": ["cat", "dog", "fox", "owl"]}
    if name == "annotated_captions":
        del data["captions"]
    assert getattr(load(tmp_path, data), name) is not None


def test_the_classes_of_the_drawn_world():
    names = Vocabulary.load("picturebook").names
    listed = re.search(r"The classes are\s+([\w\s,]+)\.", TEXT)
    assert listed is not None
    assert tuple(re.split(r",\s+|\s+and\s+", listed.group(1))) == names


@pytest.mark.parametrize(("job", "arguments"), JOBS, ids=[" ".join(each).strip() for each in JOBS])
def test_a_command(job, arguments):
    words = shlex.split(arguments)
    importlib.import_module(f"jobs.{job}")._parse(words)  # ends the process where it does not know one
    ours = [word for word in words if re.match("(jobs|cluster|serve)/", word)]
    assert all((ROOT / word).exists() for word in ours)


def test_every_job_has_a_command():
    scripts = {path.stem for path in (ROOT / "jobs").glob("*.py") if "__main__" in path.read_text()}
    assert scripts == {job for job, _ in JOBS}
