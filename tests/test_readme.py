"""What the README says of recipes holds."""

import re
from pathlib import Path

import pytest
import yaml

from t2ipal.vocabulary import Vocabulary
from tests.test_recipe import DATA, load

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
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
