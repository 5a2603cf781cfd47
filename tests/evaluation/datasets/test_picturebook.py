import pytest

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.picturebook.classes import NAMES
from t2ipal.picturebook.scenes import scene
from t2ipal.vocabulary import Vocabulary


@pytest.mark.parametrize(("split", "count"), [("train", 2000), ("dev", 1000), ("test", 1000)])
def test_the_photo_scenes_of_a_split(split, count):
    dataset = open_dataset("picturebook", split, Vocabulary.load("picturebook"))
    assert len(dataset) == count
    expected = scene("photo", split, 7)
    assert dataset.labels(7) == expected.labels
    assert dataset.ignored(7) == ()
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


def test_other_splits_are_refused():
    with pytest.raises(UserError, match=r"(?s)'testing'.*dev, test, train"):
        open_dataset("picturebook", "testing", Vocabulary.load("picturebook"))
