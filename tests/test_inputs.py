import pytest

from jobs.inputs import with_photos
from t2ipal.errors import UserError
from tests.recipes import tiny_recipe


def test_photos_may_be_others_than_the_recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tiny_recipe(evaluate={"dataset": "/data/photos", "split": "dev"})
    assert with_photos(recipe, None, None) == recipe
    other = with_photos(recipe, "mine", "test").evaluate
    assert (other.dataset, other.split) == (str(tmp_path / "mine"), "test")
    assert with_photos(recipe, "picturebook", None).evaluate.dataset == "picturebook"
    none = tiny_recipe(evaluate={"dataset": None})
    assert with_photos(none, "/mine", None).evaluate.dataset == "/mine"
    with pytest.raises(UserError, match="dataset is null"):
        with_photos(none, None, None)
