"""An engine that is killed while it writes captions: no row is lost or doubled, and none is written again."""

import pytest

from jobs.verify import main as verify
from t2ipal.captions.plan import CaptionPlan
from t2ipal.stages import captions
from t2ipal.store import Store
from tests.faults.cluster import disturbed
from tests.recipes import tiny_recipe
from tests.tiny_models import save_writer

pytestmark = [pytest.mark.whole_job, pytest.mark.timeout(600)]

ENGINE = "vLLMEngine"


@pytest.fixture
def recipe(tmp_path):
    save_writer(tmp_path / "writer", ["fish", "house", "tree", "write", "caption", "with", "."])
    return tiny_recipe(
        captions={
            "model": str(tmp_path / "writer"),
            "count": 2000,
            "shard_rows": 50,
            "candidates": 2,
            "max_tokens": 4,
            "batch": 10,
            "engine": {"max_model_len": 32, "enforce_eager": True, "dtype": "float32", "max_num_seqs": 8},
            "workers": {"cpus": 0.5},
        },
    )


def test_an_engine_that_is_killed(nodes, recipe, tmp_path):
    store = Store.open(str(tmp_path / "run"))
    store.claim(recipe)
    shards, planned = store.shards("captions"), CaptionPlan.of(recipe).shards()
    committed = {}

    def kill():
        committed.update(shards.done())
        (engine,) = nodes.workers(ENGINE)
        engine.kill()

    disturbed(lambda: captions.run(recipe, store), lambda: bool(shards.done()), kill)

    assert 0 < len(committed) < len(planned)
    done = shards.done()
    assert list(done) == planned
    assert all(done[name] == manifest for name, manifest in committed.items())
    assert sum(manifest.extra["asked"] for manifest in done.values()) == recipe.captions.count
    assert verify([store.uri]) == 0  # each row once, with a seed of its own
