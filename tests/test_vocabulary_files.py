"""The vocabularies of known data sets in jobs/vocabularies."""

from pathlib import Path

import pytest

from t2ipal.evaluation.datasets import open_dataset
from t2ipal.vocabulary import Vocabulary

FOLDER = Path(__file__).parents[1] / "jobs" / "vocabularies"
VOC = """
    aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person
    pottedplant sheep sofa train tvmonitor
"""
NUS_WIDE = """
    airport animal beach bear birds boats book bridge buildings cars castle cat cityscape clouds computer
    coral cow dancing dog earthquake elk fire fish flags flowers food fox frost garden glacier grass harbor
    horses house lake leaf map military moon mountain nighttime ocean person plane plants police protest
    railroad rainbow reflection road rocks running sand sign sky snow soccer sports statue street sun sunset
    surf swimmers tattoo temple tiger tower town toy train tree valley vehicle water waterfall wedding
    whales window zebra
"""


def load(name):
    return Vocabulary.load(str(FOLDER / f"{name}.yaml"))


@pytest.mark.parametrize(("name", "classes"), [("coco", 80), ("voc2007", 20), ("nus_wide", 81)])
def test_every_word_is_found_in_plain_captions(name, classes):
    """Prompt lines, and captions that a language model was asked for, hold these words as they are."""
    vocabulary = load(name)
    assert len(vocabulary) == classes
    lines = (
        "{}",
        "a photo of {}",
        "a photo of a {}.",
        "here stand two {}",
        "the {} in the wild",
        "itap of my {}",
    )
    lost = [
        line.format(word)
        for i, (first, further) in enumerate(zip(vocabulary.names, vocabulary.synonyms, strict=True))
        for word in (first, *further)
        for line in lines
        if vocabulary.labels(line.format(word)) != (i,)
    ]
    assert lost == []


@pytest.mark.parametrize(("name", "official"), [("voc2007", VOC), ("nus_wide", NUS_WIDE)])
def test_the_data_sets_own_labels_are_read_in_their_order(tmp_path, name, official):
    rows = [f"{i}.jpg,{label}" for i, label in enumerate(official.split())]
    (tmp_path / "test.csv").write_text("\n".join(["image,labels", *rows]))
    for i in range(len(rows)):
        (tmp_path / f"{i}.jpg").touch()
    dataset = open_dataset(str(tmp_path), "test", load(name))
    assert [dataset.labels(i) for i in range(len(dataset))] == [(i,) for i in range(len(official.split()))]


def test_prompts_for_voc_read_well():
    names = load("voc2007").names
    assert {"dining table", "potted plant", "tv monitor"} <= set(names)
