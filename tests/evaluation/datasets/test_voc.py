from pathlib import Path

import pytest

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.vocabulary import Vocabulary
from tests.layouts import Photo, lines, write_text, write_voc

VOC = Vocabulary.load(str(Path(__file__).parents[3] / "jobs" / "vocabularies" / "voc2007.yaml"))
TABLE, PERSON, TV = (VOC.index(name) for name in ("dining table", "person", "tv monitor"))
PHOTOS = [
    Photo(["diningtable", "person"], difficult=["person", "tvmonitor"]),
    Photo(),
    Photo(difficult=["tvmonitor", "diningtable"]),
]


@pytest.fixture
def root(tmp_path):
    write_voc(tmp_path, "test", PHOTOS)
    write_voc(tmp_path, "trainval", PHOTOS[:1], start=9)
    write_text(tmp_path / "ImageSets" / "Main" / "person_test.txt", lines(["000001  1", "000002 -1"]))
    return tmp_path


def test_difficult_objects_alone_make_no_label_but_are_known(root):
    dataset = open_dataset(str(root), "test", VOC)
    assert [dataset.name(i) for i in range(len(dataset))] == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert [dataset.labels(i) for i in range(3)] == [(TABLE, PERSON), (), ()]
    assert [dataset.ignored(i) for i in range(3)] == [(TV,), (), (TABLE, TV)]
    assert (dataset.image(2).size, dataset.image(2).mode) == ((6, 4), "RGB")


def test_the_photos_to_learn_from(root):
    dataset = open_dataset(str(root), "trainval", VOC)
    assert (len(dataset), dataset.name(0)) == (1, "000009.jpg")


@pytest.mark.parametrize("split", ["tset", "person_test"])
def test_a_split_that_is_none(root, split):
    with pytest.raises(UserError, match=rf"(?s)no split '{split}'.*: test, trainval$"):
        open_dataset(str(root), split, VOC)


def spoil(root, name, content):
    (root / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("ImageSets/Main/test.txt", b"000001\n\n000001\n", r"test\.txt, line 3: the image .* second time"),
        ("ImageSets/Main/test.txt", b"000001 1\n", r"test\.txt, line 1 is '000001 1'"),
        ("ImageSets/Main/test.txt", b"\n", r"test\.txt lists no images"),
        ("ImageSets/Main/test.txt", b"000001\n00\xff\n", r"test\.txt, line 2 is not UTF-8"),
        ("ImageSets/Main/test.txt", b"000001\n000077\n", r"cannot read the annotation .*000077\.xml"),
        ("Annotations/000002.xml", b"<annotation><object>", r"cannot read the annotation .*000002\.xml"),
        ("Annotations/000002.xml", b"", r"cannot read the annotation .*000002\.xml"),
        ("Annotations/000002.xml", b"<a>\xff\xfe</a>", r"cannot read the annotation .*000002\.xml"),
        ("Annotations/000002.xml", b"<?xml version='1.0' encoding='x'?><a/>", r"annotation .*000002\.xml"),
        (
            "Annotations/000002.xml",
            b"<a><object><name>person</name></object><object><name>unicorn</name></object></a>",
            r"000002\.xml, object 2: the label 'unicorn'",
        ),
        ("Annotations/000002.xml", b"<a><object/></a>", r"000002\.xml, object 1: the label ''"),
    ],
)
def test_what_is_wrong_is_said(root, name, content, problem):
    spoil(root, name, content)
    with pytest.raises(UserError, match=problem):
        open_dataset(str(root), "test", VOC)


def test_a_picture_that_is_not_there(root):
    (root / "JPEGImages" / "000003.jpg").unlink()
    with pytest.raises(UserError, match=r"lists 1 images .*JPEGImages, '000003\.jpg' for one"):
        open_dataset(str(root), "test", VOC)
