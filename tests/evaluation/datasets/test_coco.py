import json
from pathlib import Path

import pytest

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.vocabulary import Vocabulary
from tests.layouts import Photo, write_coco

COCO = Vocabulary.load(str(Path(__file__).parents[3] / "jobs" / "vocabularies" / "coco.yaml"))
PHOTOS = [Photo(["teddy bear", "person", "person"]), Photo(), Photo(["car"], crowd=["person"])]
FILE = "annotations/instances_val2014.json"


@pytest.fixture
def root(tmp_path):
    write_coco(tmp_path, "val2014", PHOTOS, COCO.names)
    return tmp_path


def test_all_images_with_the_classes_of_any_annotation(root):
    dataset = open_dataset(str(root), "val2014", COCO)
    person, car, bear = (COCO.index(name) for name in ("person", "car", "teddy bear"))
    assert [dataset.labels(i) for i in range(len(dataset))] == [(person, bear), (), (person, car)]
    assert dataset.name(2) == "COCO_val2014_000000000014.jpg"
    assert {dataset.ignored(i) for i in range(3)} == {()}
    assert dataset.image(2).size == (6, 4)


def test_the_photos_to_learn_from(root):
    write_coco(root, "train2014", PHOTOS[:2], COCO.names)
    assert len(open_dataset(str(root), "train2014", COCO)) == 2


def test_classes_are_matched_by_name_and_only_those_that_occur(root):
    few = Vocabulary(("car", "bear", "human"), ((), ("teddy bear",), ("person",)))
    assert open_dataset(str(root), "val2014", few).labels(0) == (1, 2)


def test_a_split_that_is_none(root):
    with pytest.raises(UserError, match=r"(?s)no split 'test'.*: val2014$"):
        open_dataset(str(root), "test", COCO)


def edit(root, change):
    content = json.loads((root / FILE).read_text())
    change(content)
    (root / FILE).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c["images"].clear(), "there is no image id 0"),
        (lambda c: (c["images"].clear(), c["annotations"].clear()), "lists no images"),
        (lambda c: c["images"][1].update(id=0), "has the image id 0 twice"),
        (
            lambda c: c["images"][1].update(file_name=c["images"][0]["file_name"]),
            r"image id 7: the image 'COCO_val2014_000000000000\.jpg' is listed for the second time",
        ),
        (lambda c: c["images"][1].update(file_name="x.jpg"), r"lists 1 images .*val2014, 'x\.jpg' for one"),
        (lambda c: c["annotations"][1].update(category_id=2), "annotation id 101: there is no category id 2"),
        (lambda c: c["annotations"][1].update(image_id=5), "annotation id 101: there is no image id 5"),
        (lambda c: c["annotations"][1].pop("image_id"), r"`image_id` - at `\$\.annotations\[1\]`"),
        (lambda c: c["categories"][0].update(name="unicorn"), "annotation id 101: the label 'unicorn'"),
        (lambda c: c["categories"][1].update(id=1), "has the category id 1 twice"),
        (lambda c: c.pop("annotations"), "missing required field `annotations`"),
    ],
)
def test_what_is_wrong_is_said(root, change, problem):
    edit(root, change)
    with pytest.raises(UserError, match=problem) as caught:
        open_dataset(str(root), "val2014", COCO)
    assert "instances_val2014.json" in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda data: data[: len(data) // 2], "is not readable: .*truncated"),
        (lambda data: b"", "is empty"),
        (
            lambda data: data.replace(b"COCO_val2014_000000000007", b"\xff"),
            r"line 1 \(byte \d+\) is not UTF-8",
        ),
    ],
)
def test_a_damaged_file(root, spoil, problem):
    (root / FILE).write_bytes(spoil((root / FILE).read_bytes()))
    with pytest.raises(UserError, match=rf"instances_val2014\.json.*{problem}"):
        open_dataset(str(root), "val2014", COCO)
