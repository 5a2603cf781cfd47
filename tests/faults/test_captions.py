"""Whatever happens to the stage captions, no row is lost or doubled, none is written again, and the texts are
those of a run left alone.
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
from tests.faults.driver import Driver
from tests.recipes import tiny_recipe
from tests.tiny_models import save_writer
from tests.whole_table import read_all

pytestmark = [pytest.mark.slow, pytest.mark.whole_job, pytest.mark.timeout(1200)]

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


def begun(recipe, uri):
    store = Store.open(str(uri))
    store.claim(recipe)
    return Run(recipe, store, {})


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writer")
    save_writer(folder, ["fish", "house", "tree", "write", "caption", "with", "."])
    return tiny_recipe(
        captions={
            "model": str(folder),
            "count": 400,
            "shard_rows": 25,  # more of them than two engines have in hand while a third one starts
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


def with_workers(recipe, **settings):
    workers = recipe.captions.workers.model_copy(update=settings)
    return recipe.model_copy(update={"captions": recipe.captions.model_copy(update={"workers": workers})})


def check(run, whole):
    """Compare a run that went on after a fault with one left alone."""
    planned, done = CaptionPlan.of(run.recipe).shards(), run.done()
    assert 0 < len(run.committed) < len(planned) - 1  # a fault leaves more than one cut shard to do
    assert list(done) == planned
    assert all(done[name] == manifest for name, manifest in run.committed.items())
    assert sum(manifest.extra["asked"] for manifest in done.values()) == run.recipe.captions.count
    assert verify([run.store.uri]) == 0  # each row once, with a seed of its own
    rows = run.rows()
    alike = [key for key in rows.keys() & whole.keys() if rows[key] == whole[key]]
    assert len(alike) >= ALIKE * len(rows.keys() | whole.keys())


def test_the_only_node_with_room_for_the_engine_is_lost_and_comes_back(nodes, recipe, whole, tmp_path):
    run = begun(with_workers(recipe, cpus=2.0), tmp_path)
    nodes.add_large()

    def lose():
        run.committed.update(run.done())
        nodes.remove_large()
        time.sleep(5)  # longer than it takes to miss the node
        assert not nodes.workers(ENGINE)  # there is no room for another one
        nodes.add_large()

    disturbed(lambda: captions.run(run.recipe, run.store), lambda: bool(run.done()), lose)
    check(run, whole)


def test_a_driver_that_is_killed_and_a_shard_that_is_cut(nodes, recipe, whole, tmp_path, capsys):
    run = begun(recipe, tmp_path / "run")
    driver = Driver.of(nodes, recipe, run.store, "captions", tmp_path)
    driver.killed_as_soon_as(lambda: len(run.done()) > 1)
    cut, *kept = run.done()
    run.committed.update({name: run.done()[name] for name in kept})
    path = f"captions/{cut}.parquet"
    run.store.write_bytes(path, run.store.read_bytes(path)[:-100])
    assert verify([run.store.uri, "--repair"]) == 1
    assert f"torn     captions/{cut}" in capsys.readouterr().out

    assert f"{len(kept)} of {len(CaptionPlan.of(recipe).shards())} shards were there" in driver.run()

    check(run, whole)


def test_an_engine_of_three_nodes_that_is_killed_and_a_store_that_fails_every_tenth_request(
    nodes, recipe, whole, s3, tmp_path
):
    run = begun(with_workers(recipe, min=3, max=3, cpus=0.6), s3.uri(tmp_path.name))
    at_work = set()
    refused = len(s3.refused)

    def kill():
        run.committed.update(run.done())
        engines = nodes.workers(ENGINE)
        at_work.update(engine.ppid() for engine in engines)
        engines[0].kill()

    with s3.failing(0.1):
        disturbed(lambda: captions.run(run.recipe, run.store), lambda: bool(run.done()), kill)
    assert len(at_work) == 3  # raylets
    assert len(s3.refused) > refused
    check(run, whole)
