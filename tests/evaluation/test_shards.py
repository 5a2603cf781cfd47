import pytest

from t2ipal.evaluation.shards import split_photos
from tests.layouts import Photo, write_voc
from tests.recipes import tiny_recipe


@pytest.fixture
def recipe(tmp_path):
    return tiny_recipe(evaluate={"dataset": str(tmp_path), "split": "test"})


def source(recipe, root, *photos):
    write_voc(root, "test", [Photo(["tree"]), *photos])
    (part,) = split_photos(recipe, "test")
    assert part.name == "test-00000"
    return part.source


def test_a_part_is_known_by_its_names_labels_and_ignored_classes(recipe, tmp_path):
    photos = [
        [],
        [Photo()],
        [Photo(["fish"])],
        [Photo(difficult=["fish"])],
        [Photo(["fish"], difficult=["house"])],
    ]
    sources = [source(recipe, tmp_path, *each) for each in photos]
    assert len(set(sources)) == len(photos)
    assert source(recipe, tmp_path) == sources[0]
