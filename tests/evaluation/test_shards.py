import pytest

from t2ipal.errors import UserError
from t2ipal.evaluation.shards import open_photos, split_photos
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


def test_a_missing_split_is_told_with_the_key_that_names_it(recipe, tmp_path):
    write_voc(tmp_path, "val", [Photo(["tree"])])
    with pytest.raises(UserError, match=r"(?s)no split 'test'.*set evaluate\.split to one of: val$"):
        open_photos(recipe, "test")
    without = r"val; or leave out with --methods .*\(supervised, dual_coop\)$"
    with pytest.raises(UserError, match=rf"(?s)no split 'train'.*set evaluate\.train_split to .*{without}"):
        open_photos(recipe, "train")


def test_a_folder_without_a_file_of_labels_to_learn_from(recipe, tmp_path):
    (tmp_path / "test.csv").write_text("image,labels\n")
    with pytest.raises(
        UserError, match=r"(?s)no training set .*neither train\.csv.*correct evaluate\.train_"
    ):
        open_photos(recipe, "train")
