import json
import shutil

import pytest

from jobs.planning.todo import Remaining, Todo
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.stages import annotated_captions, bundle, captions, evaluate, features, images, tune
from t2ipal.store import Store
from tests.finished_images import compute_features, finished_images
from tests.recipes import tiny_recipe

FILES = ("captions", "images", "features", "tune", "evaluate", "bundle")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and the reports of its last stages."""
    recipe, store = finished_images(tmp_path_factory.mktemp("todo"))
    compute_features(recipe, store)
    return recipe, store, {stage.STAGE: stage.run(recipe, store) for stage in (tune, evaluate, bundle)}


@pytest.fixture
def copy(finished, tmp_path):
    recipe, store, _ = finished
    again = Store.open(str(shutil.copytree(store.root, tmp_path / "copy")))
    again.claim(recipe)
    return recipe, again


def empty(folder, recipe):
    store = Store.open(str(folder / "empty"))
    store.claim(recipe)
    return store


def test_nothing_is_left_of_a_finished_run(finished):
    recipe, store, _ = finished
    left = Remaining(recipe, store, None)
    assert [left.of(stage).shards for stage in FILES] == [0] * 6


def test_a_run_not_begun_is_counted_as_what_the_finished_one_holds(finished, tmp_path):
    recipe, store, reports = finished
    left = Remaining(recipe, empty(tmp_path, recipe), kept=1.0)
    tables = {name: store.shards(name).done() for name in ("captions", "images", *features.OF_A_JOB)}
    rows = {name: sum(each.rows for each in done.values()) for name, done in tables.items()}
    for stage in ("captions", "images"):
        todo = left.of(stage)
        assert (todo.rows, todo.shards) == (rows[stage], len(tables[stage]))
    todo = left.of("features")
    assert todo.shards == sum(len(tables[name]) for name in features.OF_A_JOB)
    rows[features.IMAGES] += 2  # two images were not kept, which nobody can know before
    assert todo.amounts == {name: rows[name] for name in features.OF_A_JOB}
    for stage in ("tune", "evaluate"):
        todo, effort = left.of(stage), reports[stage].effort
        assert {*todo.amounts} == {*effort.work}
        for kind, amount in todo.amounts.items():
            assert amount == pytest.approx(effort.work[kind].amount, rel=0.25)


def test_shards_that_are_gone_are_left_to_do(copy):
    recipe, store = copy
    (gone,) = [name for name in store.shards("images").done() if name.endswith("-001")][:1]
    rows = store.shards("images").find(gone).rows
    store.shards("images").delete([gone])
    left = Remaining(recipe, store, None)
    assert left.of("captions") == Todo()
    todo = left.of("images")
    assert (todo.rows, todo.shards, todo.amounts) == (rows, 1, {"images": rows})
    assert left.of("features").amounts == {features.IMAGES: rows}
    assert left.of("tune").shards == 1


def test_captions_that_are_asked_for_again(tmp_path):
    recipe = tiny_recipe(captions={"count": 100, "candidates": 2, "attempts": 2})
    todo = Remaining(recipe, empty(tmp_path, recipe), kept=0.75).of("captions")
    # Half is accepted at each attempt: 100 captions, and then 50, of which each is asked for twice.
    assert todo.amounts == {captions.ANSWERS: pytest.approx(300)}
    assert todo.notes == ()


def test_the_share_of_the_captions_that_are_kept(tmp_path):
    recipe = tiny_recipe(captions={"count": 100, "shard_rows": 50}, images={"shard_rows": 20})
    store = empty(tmp_path, recipe)
    unknown = Remaining(recipe, store, None)
    assert unknown.of("images").rows == 100
    assert any("not known" in note for note in unknown.of("captions").notes)
    assert Remaining(recipe, store, 0.8).of("images").rows == 80
    assert Remaining(recipe, store, 0.8).of("images").shards == 4


def test_only_some_captions_are_painted_and_each_image_has_views(tmp_path):
    recipe = tiny_recipe(
        images={"captions": 6, "per_caption": 2}, features={"views": 3}, evaluate={"dataset": None}
    )
    left = Remaining(recipe, empty(tmp_path, recipe), 1.0)
    assert left.of("images").rows == 12
    assert left.of("features").amounts == {features.IMAGES: 36, features.CAPTIONS: 12}
    assert left.of("evaluate") == Todo()


def test_captions_from_a_file(tmp_path):
    (tmp_path / "captions.txt").write_text("a fish\na house\nnothing\na tree\n")
    source = {"path": str(tmp_path / "captions.txt"), "shard_rows": 2}
    recipe = tiny_recipe(captions=None, annotated_captions=source)
    store = empty(tmp_path, recipe)
    todo = Remaining(recipe, store, None).of("captions")
    assert (todo.rows, todo.shards) == (3, 2)
    report = captions.run(recipe, store)
    assert report.effort.work[annotated_captions.BYTES].amount == todo.amounts[annotated_captions.BYTES]
    assert Remaining(recipe, store, None).of("images").rows == 3
    assert json.loads(store.read_bytes(CAPTION_REPORT))["captions"] == 3


def test_tuning_on_some_images_of_each_class(tmp_path):
    recipe = tiny_recipe(
        tune={"images_per_class": 2, "holdout": 0.0}, methods={"t2i_pal": {"schedule": {"epochs": 5}}}
    )
    assert Remaining(recipe, empty(tmp_path, recipe), 1.0).of("tune").amounts == {"tune": 2 * 3 * 5}


def test_the_stages_are_those_of_a_job():
    assert [stage.STAGE for stage in (captions, images, features, tune, evaluate, bundle)] == [*FILES]


def test_a_stage_of_which_nothing_is_known_is_one_shard(finished):
    assert Remaining(*finished[:2], None).of("another") == Todo(shards=1)
