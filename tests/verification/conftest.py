import shutil

import pytest

from t2ipal.stages import evaluate, tune
from t2ipal.stages.sheets import write_sheets
from t2ipal.tuning.judge import judge
from t2ipal.tuning.source import planned_images
from t2ipal.verification import open_run
from t2ipal.vocabulary import Vocabulary
from tests.finished_images import compute_features, write_dataset
from tests.painted_run import begun, paint
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_folder
from tests.tiny_models import save_painter
from tests.tuning.tiny_set import tiny_settings


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run with all its tables."""
    folder = tmp_path_factory.mktemp("whole")
    save_painter(folder / "painter")
    write_dataset(folder / "photos")
    (corpus := folder / "corpus.txt").write_text("a fish in a house\na house by a tree\n")
    recipe = tiny_recipe(
        captions={"prior": {"corpus": str(corpus)}, "classes_per_caption": [1, 2]},
        images={
            "model": str(folder / "painter"),
            "per_caption": 2,
            "shard_rows": 6,
            "agreement": {"lowest": 0.2},
        },
        backbone={"model": tiny_folder("resnet")},
        methods=tiny_settings(epochs=1).model_dump(mode="json"),
        tune={"workers": 0, "holdout": 0.25},
        evaluate={"dataset": str(folder / "photos"), "split": "test"},
    )
    store = begun(str(folder / "run"), recipe)
    paint(recipe, store)
    names = Vocabulary.load(recipe.vocabulary).names
    write_sheets(store, names, planned_images(recipe, store), store.shards("images").done())
    compute_features(recipe, store)
    judge(recipe, store)
    for stage in (tune, evaluate):
        stage.run(recipe, store)
    return recipe, store


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it to damage, and its recipe."""
    shutil.copytree(whole[1].root, tmp_path / "copy")
    recipe, store = open_run(str(tmp_path / "copy"))
    return store, recipe
