import pytest
from PIL import Image

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.picturebook.classes import NAMES
from t2ipal.picturebook.scenes import scene
from t2ipal.vocabulary import Vocabulary

CATS = Vocabulary(("cat", "dog"), (("kitten",), ()))


def test_the_picture_worlds_test_scenes():
    dataset = open_dataset("picturebook", "test", Vocabulary.load("picturebook"))
    assert len(dataset) == 1000
    expected = scene("photo", "test", 7)
    assert dataset.labels(7) == expected.labels
    assert dataset.image(7).tobytes() == expected.image.tobytes()
    assert dataset.name(7) != dataset.name(8)


def test_a_vocabulary_of_few_classes_in_another_order():
    expected = scene("photo", "test", 7)
    wanted = [
        NAMES[expected.labels[-1]],
        next(name for i, name in enumerate(NAMES) if i not in expected.labels),
    ]
    dataset = open_dataset("picturebook", "test", Vocabulary.load(wanted[::-1]))
    assert dataset.labels(7) == (1,)


@pytest.mark.parametrize("split", ["train", "testing"])
def test_other_splits_of_the_picture_world_are_refused(split):
    with pytest.raises(UserError, match=split):
        open_dataset("picturebook", split, CATS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.csv", "image,labels\na.png,Kitten;dog\nb.png,\n"),
        ("test.jsonl", '{"image": "a.png", "labels": ["Kitten", "dog"]}\n{"image": "b.png", "labels": []}\n'),
    ],
)
def test_a_folder_with_a_file_of_labels(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    Image.new("L", (3, 5)).save(tmp_path / "a.png")
    dataset = open_dataset(str(tmp_path), "test", CATS)
    assert [dataset.labels(i) for i in range(len(dataset))] == [(0, 1), ()]
    assert (dataset.name(0), dataset.image(0).mode, dataset.image(0).size) == ("a.png", "RGB", (3, 5))
    with pytest.raises(UserError, match=r"b\.png"):
        dataset.image(1)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("test.csv", "image,labels\na.png,cat;cow\n", "'cow'"),
        ("test.csv", "file,classes\na.png,cat\n", "columns"),
        ("test.csv", "image,labels\n", "no images"),
        ("test.jsonl", '{"image": "a.png", "labels": ["cat"]}\n{"image": 1}\n', "line 2"),
        ("other.csv", "image,labels\na.png,cat\n", "no test set"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, name, content, problem):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=problem):
        open_dataset(str(tmp_path), "test", CATS)
