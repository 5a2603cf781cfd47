"""A finished run with a tiny random recognizer in its bundle."""

import numpy as np
from safetensors.torch import save

from t2ipal.bundle import save_bundle
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.fitted import Fitted
from t2ipal.store import Store
from t2ipal.tuning.trial import Trial
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_backbone, tiny_folder
from tests.tuning.tiny_set import tiny_settings


def finished(folder, seed=0):
    """The recipe and the folder of a finished run, with a tiny random recognizer in its bundle."""
    methods = tiny_settings().model_dump(mode="json")
    recipe = tiny_recipe(backbone={"model": tiny_folder("resnet")}, methods=methods, seed=seed)
    store = Store.open(str(folder))
    store.claim(recipe)
    store.write_json(
        "evaluation/metrics.json", {"dataset": "none", "split": "test", "images": 0, "methods": {}}
    )
    method = Trial.of(recipe, store).build(tiny_backbone("resnet"))
    # Thresholds below every score of the first class and above every score of the last one.
    fitted = Fitted(np.array([-1e9, 0.0, 1e9]), Calibration(np.ones(3), np.zeros(3)))
    save_bundle(store, recipe, save(method.export()), fitted)
    return recipe, store


def bundle_in(folder):
    """The URI of the bundle of such a run."""
    return f"{finished(folder)[1].uri}/bundle"
