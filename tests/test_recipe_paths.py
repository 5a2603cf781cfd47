import pickle

import pytest

from t2ipal.errors import UserError
from tests.test_recipe import DATA, changed, load


def test_paths_are_relative_to_the_recipe(tmp_path):
    recipe = load(tmp_path, DATA)
    assert recipe.captions.model == str(tmp_path / "writer")
    assert recipe.images.model == "hub/painter"  # a name, not a path


@pytest.mark.parametrize(("place", "path"), [("recipes/hub", "./hub"), ("hub", "../hub")])
def test_a_folder_that_is_written_like_a_name(tmp_path, monkeypatch, place, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / place / "painter").mkdir(parents=True)
    (tmp_path / "recipes").mkdir(exist_ok=True)
    load(tmp_path / "recipes", DATA)  # a folder of something else
    (tmp_path / place / "painter" / "model_index.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"images\.model: 'hub/painter' is the name .* there is a folder"
    ) as told:
        load(tmp_path / "recipes", DATA)
    assert told.value.remedy.startswith(f"write '{path}/painter' for the folder")


def test_the_same_recipe_in_another_folder_has_the_same_fingerprints(tmp_path):
    data = changed("evaluate.dataset", "photos") | {"vocabulary": "classes.yaml"}
    recipes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "classes.yaml").write_text("- fox\n- owl\n")
        recipes.append(load(tmp_path / name, data))
    first, second = recipes
    assert first.evaluate.dataset == str(tmp_path / "a" / "photos")
    assert first.fingerprints() == second.fingerprints() == pickle.loads(pickle.dumps(first)).fingerprints()
    assert first.differences(second.settings()) == []
    other = load(tmp_path / "b", data | {"captions": DATA["captions"] | {"model": "./another"}})
    assert first.differences(other.settings()) == ["captions.model"]


def test_a_vocabulary_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "classes.yaml").write_text("- fox\n- owl\n")
    (tmp_path / "recipes").mkdir()
    recipe = load(tmp_path / "recipes", changed("vocabulary", "~/classes.yaml"))
    assert recipe.vocabulary == {"fox": (), "owl": ()}


def test_a_servers_model_may_have_the_name_of_a_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta" / "writer").mkdir(parents=True)
    (tmp_path / "meta" / "writer" / "config.json").write_text("{}")
    served = {"model": "meta/writer", "endpoint": {"url": "http://127.0.0.1:8000/v1"}}
    recipe = load(tmp_path, DATA | {"captions": DATA["captions"] | served})
    assert recipe.captions.model == "meta/writer"
