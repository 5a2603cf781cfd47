import pytest
from safetensors.torch import save

from t2ipal.bundle import Recognizer, save_bundle
from t2ipal.methods import T2IPal
from t2ipal.store import Store
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_backbone, tiny_folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The recipe and the folder of a finished run, with a tiny random recognizer in its bundle."""
    recipe = tiny_recipe(backbone={"model": tiny_folder("resnet")}, tune={"context": 4})
    store = Store.open(str(tmp_path_factory.mktemp("run")))
    store.claim(recipe)
    store.write_json(
        "evaluation/metrics.json", {"dataset": "none", "split": "test", "images": 0, "methods": {}}
    )
    names = tuple(recipe.vocabulary)
    method = T2IPal(tiny_backbone("resnet"), names, recipe.tune, seed=0)
    # Thresholds below every score of the first class and above every score of the last one.
    save_bundle(store, recipe, save(method.state_dict()), {"fish": -1e9, "house": 0.0, "tree": 1e9})
    return recipe, store


@pytest.fixture(scope="session")
def bundle(run) -> str:
    return f"{run[1].uri}/bundle"


@pytest.fixture(scope="session")
def recognizer(bundle) -> Recognizer:
    return Recognizer.load(bundle)
