from dataclasses import asdict

import pytest

from t2ipal.stages import bundle, captions, evaluate, images, tune
from t2ipal.tuning.judge import judge
from tests.finished_images import compute_features, finished_images


def finish(folder, **sections):
    """A run with all that a page shows but the page, of a recipe with a filter of images."""
    recipe, store = finished_images(folder, images={"agreement": {"lowest": 0.2}}, **sections)
    for name, manifest in store.shards("captions").done().items():
        counts = {"asked": manifest.rows + 1, "kept": manifest.rows, "rejected": 1}
        store.write_json(f"captions/_manifests/{name}.json", asdict(manifest) | {"extra": counts})
    captions.run(recipe, store)
    images.run(recipe, store)
    compute_features(recipe, store)
    judge(recipe, store)
    for stage in (tune, evaluate, bundle):
        stage.run(recipe, store)
    return recipe, store


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """The same test images, another seed of tuning."""
    return finish(tmp_path_factory.mktemp("other"), tune={"seed": 7})


@pytest.fixture(scope="session")
def unmeasured(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("unmeasured"), evaluate={"dataset": None})


@pytest.fixture
def painted(tmp_path) -> tuple:
    """A run that was stopped after its images."""
    return finished_images(tmp_path)
