"""An engine that is lost while it writes captions: no row is lost or doubled, none is written again, and the
texts are those of a run left alone.
"""

import time
from dataclasses import dataclass
from typing import Any

import pytest

from jobs.verify import main as verify
from t2ipal.captions.plan import CaptionPlan
from t2ipal.recipe import Recipe
from t2ipal.shards import Manifest
from t2ipal.stages import captions
from t2ipal.store import Store
from tests.faults.cluster import disturbed
from tests.recipes import tiny_recipe
from tests.tiny_models import save_writer
from tests.whole_table import read_all

pytestmark = [pytest.mark.whole_job, pytest.mark.timeout(600)]

ENGINE = "vLLMEngine"
# A sum in another order may end in another word: the engine batches what is there at the moment.
ALIKE = 0.99


@dataclass
class Run:
    """A run, and what was committed in it before a fault."""

    recipe: Recipe
    store: Store
    committed: dict[str, Manifest]

    def done(self) -> dict[str, Manifest]:
        return self.store.shards("captions").done()

    def rows(self) -> dict[str, dict[str, Any]]:
        """All captions by their keys; each key is there once."""
        rows = read_all(self.store.shards("captions")).to_pylist()
        found = {row["caption_id"]: row for row in rows}
        assert len(found) == len(rows)
        return found


def begun(recipe, folder):
    store = Store.open(str(folder))
    store.claim(recipe)
    return Run(recipe, store, {})


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writer")
    save_writer(folder, ["fish", "house", "tree", "write", "caption", "with", "."])
    return tiny_recipe(
        captions={
            "model": str(folder),
            "count": 1000,
            "shard_rows": 50,
            "candidates": 2,
            "max_tokens": 4,
            "batch": 10,
            "engine": {"max_model_len": 32, "enforce_eager": True, "dtype": "float32", "max_num_seqs": 8},
            "workers": {"cpus": 0.5},
        },
    )


@pytest.fixture(scope="module")
def whole(cluster, recipe, tmp_path_factory):
    """The captions of a run that nothing disturbs."""
    run = begun(recipe, tmp_path_factory.mktemp("whole"))
    captions.run(recipe, run.store)
    return run.rows()


def check(run, whole):
    """Compare a run that went on after a fault with one left alone."""
    planned, done = CaptionPlan.of(run.recipe).shards(), run.done()
    assert 0 < len(run.committed) < len(planned)
    assert list(done) == planned
    assert all(done[name] == manifest for name, manifest in run.committed.items())
    assert sum(manifest.extra["asked"] for manifest in done.values()) == run.recipe.captions.count
    assert verify([run.store.uri]) == 0  # each row once, with a seed of its own
    rows = run.rows()
    alike = [key for key in rows.keys() & whole.keys() if rows[key] == whole[key]]
    assert len(alike) >= ALIKE * len(rows.keys() | whole.keys())


def test_an_engine_that_is_killed(nodes, recipe, whole, tmp_path):
    run = begun(recipe, tmp_path)

    def kill():
        run.committed.update(run.done())
        (engine,) = nodes.workers(ENGINE)
        engine.kill()

    disturbed(lambda: captions.run(recipe, run.store), lambda: bool(run.done()), kill)
    check(run, whole)


def test_the_only_node_with_room_for_the_engine_is_lost_and_comes_back(nodes, recipe, whole, tmp_path):
    workers = recipe.captions.workers.model_copy(update={"cpus": 2.0})
    large = recipe.captions.model_copy(update={"workers": workers})
    run = begun(recipe.model_copy(update={"captions": large}), tmp_path)
    nodes.add_large()

    def lose():
        run.committed.update(run.done())
        nodes.remove_large()
        time.sleep(5)  # longer than it takes to miss the node
        assert not nodes.workers(ENGINE)  # there is no room for another one
        nodes.add_large()

    disturbed(lambda: captions.run(run.recipe, run.store), lambda: bool(run.done()), lose)
    check(run, whole)
