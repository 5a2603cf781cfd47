"""Whatever happens to the stage images, it ends in the same rows and pixels as a run left alone."""

from contextlib import ExitStack

import pytest

from jobs.exit_code import user_error
from jobs.verify import main as verify
from t2ipal.errors import StoreError
from t2ipal.stages import images
from tests.faults.cluster import disturbed
from tests.faults.driver import Driver
from tests.painted_run import begun, paint, pictures
from tests.recipes import tiny_recipe
from tests.s3_server import FULL, READ_ONLY
from tests.tiny_models import save_painter

pytestmark = [pytest.mark.slow, pytest.mark.whole_job, pytest.mark.timeout(1200)]

PAINTER = "ShardPainter"
SHARDS = 18
REASONS = {FULL: "XMinioStorageFull", READ_ONLY: "ACCESS_DENIED"}  # as pyarrow words them


def recipe_of(painter, actors):
    pool = {"min": actors, "max": actors, "cpus": 1.0}
    settings = {"model": painter, "shard_rows": 1, "steps": 20, "workers": pool}
    return tiny_recipe(captions={"count": 24}, images=settings)


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painter")
    save_painter(folder)
    return str(folder)


@pytest.fixture(scope="module")
def whole(painter, tmp_path_factory):
    """The pictures of a run on one node, in one process."""
    recipe = recipe_of(painter, actors=1)
    store = begun(str(tmp_path_factory.mktemp("whole")), recipe)
    paint(recipe, store)
    found = pictures(store)
    assert len(found) == len(set(found.values())) == SHARDS
    return found


def when_written(store):
    """The finished shards, and when their rows were written."""
    shards = store.shards("images")
    return {name: shards.row_files()[name].mtime_ns for name in shards.done()}


def test_a_painter_that_is_killed(nodes, painter, whole, tmp_path):
    recipe = recipe_of(painter, actors=2)
    store = begun(str(tmp_path), recipe)
    report = disturbed(
        lambda: images.run(recipe, store),
        lambda: bool(store.shards("images").written()),
        lambda: nodes.workers(PAINTER)[0].kill(),
    )
    assert report.rows == SHARDS
    assert pictures(store) == whole


def test_a_node_that_is_lost_and_not_replaced(nodes, painter, whole, tmp_path):
    recipe = recipe_of(painter, actors=3)  # one on each node: the lost one finds no other place
    store = begun(str(tmp_path), recipe)
    report = disturbed(
        lambda: images.run(recipe, store),
        lambda: bool(store.shards("images").written()),
        lambda: nodes.remove_one_with(PAINTER),
    )
    assert report.rows == SHARDS
    assert pictures(store) == whole
    assert verify([store.uri]) == 0


def test_a_driver_that_is_killed(nodes, painter, whole, tmp_path):
    recipe = recipe_of(painter, actors=1)
    store = begun(str(tmp_path / "run"), recipe)
    driver = Driver.of(nodes, recipe, store, "captions,images", tmp_path)
    driver.killed_as_soon_as(lambda: bool(store.shards("images").done()))
    kept = when_written(store)
    assert 0 < len(kept) < SHARDS

    assert f"{len(kept)} of {SHARDS} shards were there" in driver.run()
    assert kept.items() <= when_written(store).items()
    assert pictures(store) == whole


def test_three_nodes_and_an_object_store_that_fails_every_tenth_request(nodes, painter, whole, s3, tmp_path):
    recipe = recipe_of(painter, actors=3)
    store = begun(s3.uri(tmp_path.name), recipe)
    at_work = set()
    refused = len(s3.refused)
    with s3.failing(0.1):
        disturbed(
            lambda: images.run(recipe, store),
            lambda: bool(store.shards("images").written()),
            lambda: at_work.update(process.ppid() for process in nodes.workers(PAINTER)),
        )
    assert len(at_work) == 3  # raylets
    assert len(s3.refused) - refused > 3
    assert pictures(store) == whole


@pytest.mark.parametrize("why", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_an_object_store_that_cannot_be_written_for_a_while(nodes, painter, whole, s3, tmp_path, why):
    recipe = recipe_of(painter, actors=1)
    store = begun(s3.uri(tmp_path.name), recipe)
    with ExitStack() as stack, pytest.raises(Exception, match=REASONS[why]) as caught:
        disturbed(
            lambda: images.run(recipe, store),
            lambda: bool(store.shards("images").done()),
            lambda: stack.enter_context(s3.refusing_writes(why)),
        )
    told = user_error(caught.value)
    assert isinstance(told, StoreError)
    assert "cannot write 'images/" in told.problem
    assert "make room" in told.remedy
    kept = when_written(store)
    assert 0 < len(kept) < SHARDS

    # Its painter may have been about to write one more.
    assert images.run(recipe, store).shards_done_before >= len(kept)

    assert kept.items() <= when_written(store).items()
    assert pictures(store) == whole


def test_shards_that_are_damaged(nodes, painter, whole, tmp_path):
    recipe = recipe_of(painter, actors=1)
    store = begun(str(tmp_path), recipe)
    paint(recipe, store)
    cut, changed = (f"images/images-0000{n}-000.parquet" for n in (0, 1))
    store.write_bytes(cut, store.read_bytes(cut)[:-100])
    data = bytearray(store.read_bytes(changed))
    data[len(data) // 2] ^= 1
    store.write_bytes(changed, bytes(data))
    assert verify([store.uri, "--repair"]) == 1

    assert images.run(recipe, store).shards_done_before == SHARDS - 2

    assert verify([store.uri]) == 0
    assert pictures(store) == whole
