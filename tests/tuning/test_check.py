"""What is wrong with what tuning reads is said before a worker starts."""

import logging

import numpy as np
import pyarrow as pa
import pytest

from t2ipal.errors import UserError
from t2ipal.stages import compare, features, tune
from t2ipal.store import Store
from t2ipal.tuning import session
from t2ipal.tuning.check import InputCheck, checked_labels
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images
from tests.tiny_clip import tiny_backbone, tiny_folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with features, in which whoever tunes has gone too far."""
    recipe, store = finished_images(tmp_path)
    compute_features(recipe, store)
    monkeypatch.setattr(session, "run_tuning", lambda *given: pytest.fail("tuning was started"))
    return recipe, store


def with_tune(recipe, **changes):
    return recipe.model_copy(update={"tune": recipe.tune.model_copy(update=changes)})


def rewrite(store, table, change):
    """Change the rows, as plain data, of every shard of a table."""
    shards = store.shards(table)
    for name, manifest in shards.done().items():
        rows = shards.read(name)
        changed = pa.Table.from_pylist([change(row) for row in rows.to_pylist()], schema=rows.schema)
        shards.write(name, changed, manifest.extra)


def broken(value, key, column):
    """A change of one row."""

    def change(row):
        if key in row.values():
            row[column][1] = value
        return row

    return change


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("table", "key", "column", "value"),
    [
        ("features", "c00000003-1", "patches", np.nan),
        ("features", "c00000003-1", "global", np.inf),
        ("caption_features", "c00000011", "tokens", -np.inf),
    ],
)
def test_features_that_are_no_numbers(run, workers, table, key, column, value):
    recipe, store = run
    rewrite(store, table, broken(value, key, column))
    with pytest.raises(
        UserError, match=rf"{table}/.* hold NaN or infinite .*'{key}' for one(.|\n)*verify.py"
    ):
        tune.run(with_tune(recipe, workers=workers), store)


def test_they_are_not_written_at_all(tmp_path, monkeypatch):
    recipe, store = finished_images(tmp_path)
    extractor = features.FeatureExtractor(recipe, store)
    found = extractor._backbone.fitted
    monkeypatch.setattr(
        extractor._backbone,
        "fitted",
        lambda fitted: (whole := found(fitted))._replace(patches=whole.patches / 0.0 * 0.0),
    )
    shard = next(work for work in features.planned(recipe, store) if work.table == "features")
    with pytest.raises(UserError, match=r"gives NaN or infinite numbers for 8 of 8 rows of features/images"):
        extractor(vars(shard))
    assert store.shards("features").done() == {}


def test_features_of_another_backbone(run):
    recipe, store = run
    other = recipe.backbone.model_copy(update={"model": tiny_folder("vit")})
    with pytest.raises(UserError, match=r"another recipe; what differs: backbone\.model"):
        tune.run(recipe.model_copy(update={"backbone": other}), store)


def test_features_of_another_width_under_the_same_name(run):
    recipe, store = run
    rewrite(store, "features", lambda row: row | {"global": row["global"][:20]})
    with pytest.raises(UserError, match=r"another backbone .*: its features are 20 numbers wide.* are 24"):
        tune.run(recipe, store)


@pytest.mark.parametrize(
    "vocabulary",
    [{"house": (), "fish": (), "tree": ()}, {"fish": (), "house": ()}, {"fish": (), "house": (), "oak": ()}],
)
def test_features_of_another_vocabulary(run, vocabulary):
    recipe, store = run
    with pytest.raises(UserError, match=r"another recipe; what differs: .*vocabulary"):
        tune.run(recipe.model_copy(update={"vocabulary": vocabulary}), store)


def test_class_numbers_that_the_vocabulary_does_not_have(run):
    recipe, store = run
    rewrite(store, "features", lambda row: row | {"labels": [3]})
    with pytest.raises(UserError, match="class number 3, and the vocabulary has 3 classes"):
        tune.run(recipe, store)


def without_trees(store, table):
    rewrite(store, table, lambda row: row | {"labels": [label for label in row["labels"] if label != 2]})


def test_a_class_that_nothing_shows_is_named_and_tuned_without(tmp_path, caplog):
    recipe, store = finished_images(tmp_path)
    compute_features(recipe, store)
    without_trees(store, "features")
    with caplog.at_level(logging.WARNING):
        tune.run(recipe, store)
    (warning,) = [record.message for record in caplog.records if "tree" in record.message]
    assert "no image shows 'tree'" in warning
    assert Trial.of(recipe, store).is_done()


def test_or_refused_where_the_recipe_says_so(run):
    recipe, store = run
    refusing = with_tune(recipe, classes_without_samples="refuse")
    InputCheck(tiny_backbone("resnet"))(Trial.of(refusing, store))
    without_trees(store, "features")
    with pytest.raises(UserError, match=r"no image shows 'tree'(.|\n)*classes_without_samples to warn"):
        tune.run(refusing, store)
    assert recipe.fingerprints() == refusing.fingerprints()


def test_what_is_held_out_shows_nothing(run):
    recipe, store = run
    labels, keys = checked_labels(recipe, store, "features", tiny_backbone("resnet"))
    data = load_tuning_set(recipe, store, "features", tiny_backbone("resnet"), with_templates=False)
    assert labels.tolist() == data.images.labels.tolist()
    assert len(keys) == len(labels) < 46


@pytest.mark.parametrize(
    ("method", "said"),
    [("tai_dpt", []), ("pvp", []), ("t2i_pal", ["no image"]), ("t2i_pal_pvp", ["no image"])],
)
def test_only_what_a_method_learns_from_is_missed(run, caplog, method, said):
    recipe, store = run
    without_trees(store, "features")
    trial = Trial(recipe, store, method, 0, store, "trials/x")
    with caplog.at_level(logging.WARNING):
        InputCheck(tiny_backbone("resnet"))(trial)
    found = [record.message for record in caplog.records]
    assert len(found) == len(said)
    assert all(words in message for words, message in zip(said, found, strict=True))


def test_template_sentences_name_every_class(run, caplog):
    recipe, store = run
    without_trees(store, "caption_features")
    assert recipe.methods.tai_dpt.templates
    bare = recipe.methods.tai_dpt.model_copy(update={"templates": 0})
    other = recipe.model_copy(update={"methods": recipe.methods.model_copy(update={"tai_dpt": bare})})
    check = InputCheck(tiny_backbone("resnet"))
    for each, count in ((recipe, 0), (other, 1), (other, 1)):  # said once
        with caplog.at_level(logging.WARNING):
            check(Trial(each, store, "tai_dpt", 0, store, "trials/x"))
        assert sum("no caption names 'tree'" in record.message for record in caplog.records) == count


def test_few_labels_may_be_too_few(run, caplog):
    recipe, store = run
    compute_features(recipe, store, [features.TRAIN])
    with caplog.at_level(logging.WARNING):
        InputCheck(tiny_backbone("resnet"))(Trial(recipe, store, "dual_coop", 0, store, "trials/x"))
        assert caplog.records == []
        InputCheck(tiny_backbone("resnet"))(Trial(recipe, store, "dual_coop-labels-1", 0, store, "trials/x"))
    assert "no labelled photo shows 'fish', 'house', 'tree'" in caplog.records[0].message


def test_a_comparison_looks_before_its_tasks_and_reads_each_table_once(run, tmp_path, monkeypatch):
    recipe, store = run
    out = Store.open(str(tmp_path / "out"))
    out.claim(recipe)
    compute_features(recipe, out, [features.TEST])
    plan = compare.entries(recipe, store, out, ["zero_shot", "t2i_pal", "t2i_pal_pvp"], seeds=2)
    read = []
    monkeypatch.setattr(
        "t2ipal.tuning.check._check_shard", lambda rows, name, *given, _=None: read.append(name)
    )
    compare.check_input([entry.trial for entry in plan])
    assert len(read) == len(set(read)) == 10
    monkeypatch.undo()
    rewrite(store, "features", broken(np.nan, "c00000003-1", "global"))
    with pytest.raises(UserError, match="NaN"):
        next(compare.complete(plan))


def interrupted(recipe, store):
    """A trial that has been stopped after its second epoch."""

    def stop(entry):
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    trial = Trial.of(recipe, store)
    with pytest.raises(KeyboardInterrupt):
        session.run_tuning(trial, stop)
    return trial


@pytest.fixture
def stopped(tmp_path):
    recipe, store = finished_images(tmp_path)
    compute_features(recipe, store)
    return recipe, store, interrupted(recipe, store)


def test_a_right_checkpoint_is_gone_on_from(stopped):
    recipe, store, trial = stopped
    tune.run(recipe, store)
    assert trial.is_done()


def test_a_checkpoint_of_another_recipe(stopped):
    recipe, store, trial = stopped
    progress = store.read_json(trial.progress)
    store.write_json(trial.progress, progress | {"settings": "of another"})
    with pytest.raises(UserError, match=r"the checkpoint in .*/tune' is of another recipe\n.*delete"):
        tune.run(recipe, store)


def test_a_checkpoint_file_of_another_recipe(stopped):
    recipe, store, trial = stopped
    other = with_tune(recipe, method="tai_dpt")
    progress = store.read_json(trial.progress)
    interrupted(other, store)
    store.write_json(trial.progress, progress)  # the file is the other's now
    with pytest.raises(UserError, match="is of another recipe"):
        tune.run(recipe, store)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"no safetensors", lambda data: b""])
def test_a_damaged_checkpoint(stopped, spoil):
    recipe, store, trial = stopped
    name = store.read_json(trial.progress)["checkpoint"]
    store.write_bytes(name, spoil(store.read_bytes(name)))
    with pytest.raises(UserError, match="is damaged"):
        tune.run(recipe, store)
    with pytest.raises(UserError, match=r"/tune' is damaged.*\n  delete this one"):
        compare.check_input([trial])


def test_a_comparison_replaces_checkpoints_of_other_settings_and_goes_on_from_its_own(stopped):
    _, store, trial = stopped
    compare.check_input([trial])
    progress = store.read_json(trial.progress)
    store.write_json(trial.progress, progress | {"settings": "of another", "checkpoint": "gone"})
    compare.check_input([trial])
    store.write_json(trial.progress, progress | {"checkpoint": "gone"})
    with pytest.raises(UserError, match="is damaged"):
        compare.check_input([trial])


def test_a_damaged_note_on_the_checkpoint(stopped):
    recipe, store, trial = stopped
    store.write_bytes(trial.progress, b"{")
    with pytest.raises(UserError, match="is damaged: Expecting property name") as raised:
        tune.run(recipe, store)
    assert "repair" not in str(raised.value)  # which would pass over it


def test_one_of_features_that_have_been_made_anew_is_no_fault(stopped):
    recipe, store, trial = stopped
    rewrite(store, "features", lambda row: row | {"global": row["global"][::-1]})
    tune.run(recipe, store)
    assert trial.is_done()
