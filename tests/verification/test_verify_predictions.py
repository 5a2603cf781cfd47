"""Verification of the scores of test images, and that a job makes them again with their figures."""

import shutil
from pathlib import Path

import pytest

from jobs.verify import main
from t2ipal.run_files import METRICS
from t2ipal.stages import evaluate, features
from t2ipal.verification import verify
from tests.verification.damage import cut, flip

ONE = "zero_shot"
DAMAGES = {
    "flipped": lambda rows, manifest: flip(rows),
    "cut": lambda rows, manifest: cut(rows),
    "no rows": lambda rows, manifest: rows.unlink(),
    "no manifest": lambda rows, manifest: manifest.unlink(),
    "neither": lambda rows, manifest: [rows.unlink(), manifest.unlink()],
    "no table": lambda rows, manifest: shutil.rmtree(rows.parent),
}


def faults(store, recipe):
    found = [fault for report in verify(recipe, store) for fault in report.faults]
    return [f"{each.kind} {each.table}/{each.name}: {each.reason}" for each in found]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_or_gone_is_named_and_made_again(copy, whole, damage, capsys):
    store, recipe = copy
    folder = Path(store.path(evaluate.TABLE))
    DAMAGES[damage](folder / f"{ONE}.parquet", folder / "_manifests" / f"{ONE}.json")
    assert bool(evaluate.pending(recipe, store)) == (damage != "flipped")
    assert main([store.uri, "--repair"]) == 1
    assert f"{evaluate.TABLE}/{ONE}: " in (told := capsys.readouterr().out)
    assert told.count("evaluation/") == (4 if damage == "no table" else 2)  # its line, and each fault's
    assert evaluate.pending(recipe, store) == [METRICS]
    assert not evaluate.run(recipe, store).already_complete
    assert evaluate.pending(recipe, store) == []
    assert main([store.uri]) == 0
    for name in (METRICS, *(f"{evaluate.TABLE}/{each}.parquet" for each in evaluate.methods(recipe))):
        assert store.read_bytes(name) == whole[1].read_bytes(name)


def test_there_are_those_of_the_methods_that_are_measured(copy):
    store, recipe = copy
    shards = store.shards(evaluate.TABLE)
    assert {*shards.done()} == {*recipe.evaluate.baselines, recipe.tune.method} == {*evaluate.methods(recipe)}
    shards.write("tai_dpt", shards.read(ONE), shards.done()[ONE].extra)
    assert faults(store, recipe) == [f"foreign {evaluate.TABLE}/tai_dpt: no such shard is planned"]
    assert evaluate.methods(recipe.with_evaluate(dataset=None)) == ()


def test_those_of_other_data_are_made_again(copy):
    store, recipe = copy
    shards = store.shards(evaluate.TABLE)
    other = shards.done()[ONE].extra | {"data": "another"}
    shards.write(ONE, shards.read(ONE), other)
    reason = "what it was made from has changed since"
    assert faults(store, recipe) == [f"changed {evaluate.TABLE}/{ONE}: {reason}"]
    assert evaluate.pending(recipe, store) == [METRICS]


def test_those_that_do_not_tell_what_they_were_made_from_stay(copy):
    store, recipe = copy
    shards = store.shards(evaluate.TABLE)
    for name in shards.done():
        shards.write(name, shards.read(name))
    assert faults(store, recipe) == []
    assert evaluate.pending(recipe, store) == []


def test_without_tuned_parameters_their_manifests_alone_are_compared(copy):
    store, recipe = copy
    store.delete_folder("tune")
    flip(Path(store.path(f"{evaluate.TABLE}/{ONE}.parquet")))
    (report,) = (each for each in verify(recipe, store) if each.table == evaluate.TABLE)
    assert (report.shards, len(report.faults), report.unknown) == (2, 1, "nothing is tuned")


def test_they_are_not_compared_with_features_that_cannot_be_read(copy):
    store, recipe = copy
    shards = store.shards(features.TEST)
    path = Path(store.path(f"{features.TEST}/test-00000.parquet"))
    path.write_bytes(bytes(shards.done()["test-00000"].bytes))
    assert [each.split(":")[0] for each in faults(store, recipe)] == [f"changed {features.TEST}/test-00000"]
