from pathlib import Path

import pytest

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.vocabulary import Vocabulary
from tests.layouts import Photo, write_nus_wide

NUS = Vocabulary.load(str(Path(__file__).parents[3] / "jobs" / "vocabularies" / "nus_wide.yaml"))
CONCEPTS = ["airport", "birds", "sky", "zebra"]  # zebra has no positive
PHOTOS = [Photo(["sky", "birds"]), Photo(), Photo(["airport"]), Photo(["birds"])]
LIST, SKY = "ImageList/TestImagelist.txt", "Groundtruth/TrainTestLabels/Labels_sky_Test.txt"


@pytest.fixture
def root(tmp_path):
    write_nus_wide(tmp_path, "Test", PHOTOS, CONCEPTS)
    write_nus_wide(tmp_path, "Train", PHOTOS[:3], CONCEPTS)
    return tmp_path


def test_every_image_of_the_list(root):
    dataset = open_dataset(str(root), "test", NUS)
    airport, birds, sky = (NUS.index(name) for name in CONCEPTS[:3])
    assert [dataset.labels(i) for i in range(len(dataset))] == [(birds, sky), (), (airport,), (birds,)]
    assert dataset.name(1) == "test/0001_2124494001.jpg"
    assert dataset.ignored(0) == ()
    assert dataset.image(1).size == (6, 4)


def test_the_list_without_images_that_hold_no_concept(root):
    dataset = open_dataset(str(root), "test_filtered", NUS)
    assert [dataset.name(i)[5:9] for i in range(len(dataset))] == ["0000", "0002", "0003"]
    assert all(dataset.labels(i) for i in range(3))


def test_the_photos_to_learn_from(root):
    assert len(open_dataset(str(root), "train", NUS)) == 3
    assert len(open_dataset(str(root), "train_filtered", NUS)) == 2


def test_pictures_in_a_folder_of_another_name(root):
    (root / "Flickr").rename(root / "images")
    assert open_dataset(str(root), "test", NUS).image(0).size == (6, 4)


def test_a_class_of_two_concepts(root):
    few = Vocabulary(("outdoors", "airport", "zebra"), (("sky", "birds"), (), ()))
    assert [open_dataset(str(root), "test", few).labels(i) for i in range(4)] == [(0,), (), (1,), (0,)]


def test_lines_that_end_as_on_windows(root):
    for name in (LIST, SKY, "ConceptsList/Concepts81.txt"):
        path = root / name
        path.write_bytes(path.read_bytes().replace(b"\n", b" \r\n"))
    assert open_dataset(str(root), "test", NUS).labels(0) == (NUS.index("birds"), NUS.index("sky"))


def test_a_split_that_is_none(root):
    with pytest.raises(UserError, match=r"(?s)no split 'val'.*: test, test_filtered, train, train_filtered$"):
        open_dataset(str(root), "val", NUS)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (SKY, b"1\n0\n0\n", r"Labels_sky_Test\.txt has 3 labels, and .*TestImagelist\.txt lists 4 images"),
        (SKY, b"", r"Labels_sky_Test\.txt has 0 labels"),
        (SKY, b"1\n0\n2\n0\n", r"Labels_sky_Test\.txt: value 3 is '2'"),
        (SKY, b"1\n0\n\xff\n0\n", r"Labels_sky_Test\.txt: value 3 is"),
        (SKY, None, r"cannot read the labels .*Labels_sky_Test\.txt"),
        (LIST, None, r"cannot read .*TestImagelist\.txt"),
        (LIST, b"", r"has 4 labels, and .*TestImagelist\.txt lists 0 images"),
        (LIST, b"a\\1.jpg\nb\\\xff.jpg\n", r"TestImagelist\.txt, line 2 is not UTF-8"),
        (LIST, b"a\\1.jpg\na\\2.jpg\na\\3.jpg\na\\1.jpg\n", r"line 4: the image 'a/1\.jpg' is listed for"),
        (LIST, b"a\\1.jpg\na\\2.jpg\na\\3.jpg\na\\4.jpg\n", r"lists 4 images .*Flickr, 'a/1\.jpg' for one"),
        ("ConceptsList/Concepts81.txt", b"sky\nunicorn\n", r"Concepts81\.txt, line 2: the label 'unicorn'"),
    ],
)
def test_what_is_wrong_is_said(root, name, content, problem):
    (root / name).unlink() if content is None else (root / name).write_bytes(content)
    with pytest.raises(UserError, match=problem):
        open_dataset(str(root), "test", NUS)
