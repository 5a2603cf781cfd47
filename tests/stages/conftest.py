"""A finished run for all tests of what comes after the images."""

import shutil

import pytest

from t2ipal.stages import bundle, evaluate, features, tune
from t2ipal.store import Store
from tests.finished_images import compute_features, finished_images


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run with features, tuned, evaluated and bundled."""
    recipe, store = finished_images(tmp_path_factory.mktemp("recognizer"))
    waiting = {stage: stage.pending(recipe, store) for stage in (features, tune, evaluate, bundle)}
    compute_features(recipe, store)
    reports = {stage: stage.run(recipe, store) for stage in (tune, evaluate, bundle)}
    return recipe, store, waiting, reports


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run to spoil."""
    recipe, store, *_ = finished
    again = Store.open(str(shutil.copytree(store.root, tmp_path / "copy")))
    again.claim(recipe)
    return recipe, again
