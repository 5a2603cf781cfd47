"""Verification of what a run holds beside its tables."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from jobs.verify import main
from t2ipal import answer
from t2ipal.lease import Lease
from t2ipal.model_identity import MODELS_FILE
from t2ipal.results import MANIFEST
from t2ipal.run_files import ANSWER, CAPTION_PRIOR, CAPTION_REPORT, CARD, METRICS
from t2ipal.stages import bundle, captions, evaluate, features, images, tune
from t2ipal.stages.sheets import sheet_name
from t2ipal.store import PROBE, Store
from t2ipal.verification import not_looked_at, repair, verify, verify_files
from tests.finished_images import compute_features, finished_images
from tests.verification.damage import cut

RESULTS = ["sheets", "tune", "evaluation", "bundle", "deploy"]
PARAMETERS = "bundle/recognizer.safetensors"
FILES = [sheet_name("house"), "tune/tuned.safetensors", "tune/result.json", METRICS, CARD, PARAMETERS, ANSWER]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recipe, store = finished_images(tmp_path_factory.mktemp("finished"))
    for name, manifest in store.shards("captions").done().items():
        counts = {"asked": manifest.rows, "kept": manifest.rows, "rejected": 0}
        store.write_json(f"captions/_manifests/{name}.json", asdict(manifest) | {"extra": counts})
    captions.run(recipe, store)
    images.run(recipe, store)
    compute_features(recipe, store)
    for stage in (tune, evaluate, bundle):
        stage.run(recipe, store)
    answer.keep(store, {"labels": []})
    return recipe, store


@pytest.fixture
def run(finished, tmp_path):
    recipe, store = finished
    again = Store.open(str(shutil.copytree(store.root, tmp_path / "copy")))
    again.claim(recipe)
    return recipe, again


def faults(recipe, store, under_way=False):
    return [fault for report in verify_files(recipe, store, under_way) for fault in report.faults]


def named(found):
    return [(each.kind, f"{each.table}/{each.name}") for each in found]


def pending(recipe, store):
    """The stages that are to be run again."""
    waiting = [stage for stage in ("tune", "evaluate", "bundle") if STAGES[stage].pending(recipe, store)]
    return waiting if answer.is_kept(store) else [*waiting, "deploy"]


STAGES = {"tune": tune, "evaluate": evaluate, "bundle": bundle}
LATER = {"sheets": [], "tune": ["tune", "evaluate", "bundle"], "evaluation": ["evaluate", "bundle"]}
LATER |= {"bundle": ["bundle"], "deploy": ["deploy"]}


def test_a_finished_run_is_right(run):
    recipe, store = run
    assert {report.what: (report.files, report.faults) for report in verify_files(recipe, store)} == {
        "sheets": (3, []),
        "tune": (2, []),
        "evaluation": (1, []),
        "bundle": (2, []),
        "deploy": (1, []),
        "notes on the run": (2, []),
    }
    assert pending(recipe, store) == []
    assert not_looked_at(store) == ["where tuning was last"]


def empty(path):
    path.write_bytes(b"")


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("damage", "kind"), [(Path.unlink, "missing"), (empty, "torn"), (cut, "torn"), (flip, "changed")]
)
def test_a_damaged_file_is_named_removed_and_made_again(run, finished, name, damage, kind):
    recipe, store = run
    damage(Path(store.path(name)))
    found = faults(recipe, store)
    assert (kind, name) in named(found)
    repair(store, found)
    assert not store.exists(name)
    assert not store.exists(f"{name.split('/')[0]}/{MANIFEST}")
    for stage in (images, tune, evaluate, bundle):
        stage.run(recipe, store)
    if not answer.is_kept(store):
        answer.keep(store, {"labels": []})
    assert faults(recipe, store) == []
    assert store.read_bytes(name) == finished[1].read_bytes(name)


@pytest.mark.parametrize("name", FILES[1:])
@pytest.mark.parametrize("damage", [Path.unlink, empty, cut])
def test_a_job_notices_by_itself_what_is_gone_or_cut_short(run, name, damage):
    recipe, store = run
    damage(Path(store.path(name)))
    waiting, later = pending(recipe, store), LATER[name.split("/")[0]]
    assert waiting[: len(later)] == later


@pytest.mark.parametrize("name", [METRICS, CARD, PARAMETERS, ANSWER])
def test_a_job_notices_that_what_is_deployed_has_changed_in_place(run, name):
    recipe, store = run
    flip(Path(store.path(name)))
    assert LATER[name.split("/")[0]][0] in pending(recipe, store)


@pytest.mark.parametrize("damage", [Path.unlink, empty])
def test_sheets_are_made_again_beside_finished_images(run, finished, damage):
    recipe, store = run
    damage(Path(store.path(sheet_name("tree"))))
    report = images.run(recipe, store)
    assert report.already_complete
    assert report.made_anew == "3 contact sheets"
    assert store.read_bytes(sheet_name("tree")) == finished[1].read_bytes(sheet_name("tree"))
    assert images.run(recipe, store).made_anew == ""


@pytest.mark.parametrize("damage", [Path.unlink, empty])
def test_the_report_of_captions_is_made_again(run, finished, damage):
    recipe, store = run
    damage(Path(store.path(CAPTION_REPORT)))
    assert captions.run(recipe, store).made_anew == CAPTION_REPORT
    assert store.read_bytes(CAPTION_REPORT) == finished[1].read_bytes(CAPTION_REPORT)
    assert captions.run(recipe, store).made_anew == ""


@pytest.mark.parametrize("folder", RESULTS)
@pytest.mark.parametrize(("damage", "kind"), [(Path.unlink, "missing"), (cut, "torn")])
def test_a_manifest(run, folder, damage, kind):
    recipe, store = run
    damage(Path(store.path(f"{folder}/{MANIFEST}")))
    assert (kind, f"{folder}/{MANIFEST}") in named(faults(recipe, store))
    assert pending(recipe, store)[: len(LATER[folder])] == LATER[folder]


@pytest.mark.parametrize("folder", RESULTS)
def test_a_whole_folder(run, folder):
    recipe, store = run
    store.delete_folder(folder)
    found = named(faults(recipe, store))
    # The answer is last: nothing tells that it was there.
    assert found[:1] == ([] if folder == "deploy" else [("missing", f"{folder}/{MANIFEST}")])


@pytest.mark.parametrize("folder", RESULTS)
def test_what_was_made_from_something_else(run, folder):
    recipe, store = run
    name = f"{folder}/{MANIFEST}"
    content = store.read_json(name)
    key = next(iter(content["made_from"]))
    content["made_from"][key] = "another"
    store.write_json(name, content)
    found = faults(recipe, store)
    assert ("changed", name) in named(found)
    assert pending(recipe, store)[: len(LATER[folder])] == LATER[folder]
    repair(store, found)
    assert not store.exists(name)


@pytest.mark.parametrize("name", [MODELS_FILE, CAPTION_REPORT])
def test_notes_that_cannot_be_read(run, name):
    recipe, store = run
    store.write_bytes(name, b'{"a": ')
    found = faults(recipe, store)
    assert [(each.kind, each.reason) for each in found] == [("torn", "it cannot be read")]
    repair(store, found)
    assert not store.exists(name)


def test_a_report_of_other_captions(run):
    recipe, store = run
    store.write_json(CAPTION_REPORT, store.read_json(CAPTION_REPORT) | {"captions": 7})
    assert [each.reason for each in faults(recipe, store)] == ["it is not that of the captions"]


STRAYS = [
    "images/notes.txt",
    "notes.txt",
    "sheets/other.png",
    "bundle/old/recognizer.json",
    "mine/a.parquet",
    "images/_manifests/mine.json",
    "evaluation/mine.parquet",
    "images/_mine/a.parquet",
]
FOREIGN = [  # those who read the folder as one table find it among the rows
    "images/mine.parquet",
    "images/images-00000-mine.parquet",
    "features/captions-00000.parquet",
    "captions/captions-00000 (1).parquet",
    "evaluation/predictions/mine.parquet",
    "agreement/mine.parquet",
    "images/images/images-00000-000.parquet",  # as of a copy that went one folder too deep
    "features/of mine/a.parquet",
]


@pytest.mark.parametrize(
    ("kind", "name"), [*(("stray", name) for name in STRAYS), *(("foreign", name) for name in FOREIGN)]
)
def test_a_file_that_no_job_writes_is_named_and_left_alone(run, kind, name):
    recipe, store = run
    store.write_bytes(name, b"mine")
    found = [each for report in verify(recipe, store) for each in report.faults if each.kind == kind]
    found += faults(recipe, store)
    assert [str(each) for each in found] == [f"{kind:<7}  {name}: no job writes a file of this name"]
    repair(store, found)
    assert store.read_bytes(name) == b"mine"
    assert not any(stage.pending(recipe, store) for stage in (images, features, *STAGES.values()))
    for stage in (images, features, *STAGES.values()):
        stage.run(recipe, store)
    assert store.read_bytes(name) == b"mine"


@pytest.mark.parametrize("name", ["bundle/.recognizer.json.0123.tmp", f"{PROBE}0123"])
def test_what_a_killed_process_has_left(run, name):
    recipe, store = run
    store.write_bytes(name, b"")
    found = faults(recipe, store)
    assert [(each.kind, each.reason) for each in found] == [
        ("torn", "a process was killed while it wrote this file")
    ]
    assert faults(recipe, store, under_way=True) == []
    repair(store, found)
    assert not store.exists(name)
    assert pending(recipe, store) == []


def test_results_that_a_job_is_writing_are_passed_over(run):
    recipe, store = run
    store.delete(f"bundle/{MANIFEST}")
    assert faults(recipe, store, under_way=True) == []


def test_files_of_a_comparison_in_the_same_folder_are_known(run):
    recipe, store = run
    for name in ("metrics.json", "trials/pvp/seed-0/result.json", "predictions/pvp.parquet", "sweep.png"):
        store.write_bytes(name, b"")
    assert faults(recipe, store) == []
    assert not_looked_at(store) == ["comparisons and sweeps", "where tuning was last"]


def test_notes_of_ray_are_known_in_a_run_and_in_a_sweep(run):
    recipe, store = run
    for folder in ("tune/ray/tune", "ray/tune"):
        for name in ("tuner.pkl", "_tune_and_score_1f3a2_00000_0_entry=0/result.json"):
            store.write_bytes(f"{folder}/{name}", b"")
    assert faults(recipe, store) == []
    assert not_looked_at(store) == ["notes of Ray", "where tuning was last"]


def test_a_run_without_figures(run):
    recipe, store = run
    recipe = recipe.with_evaluate(dataset=None)
    store.fingerprints.update(recipe.fingerprints())
    store.delete_folder("evaluation")
    bundle.run(recipe, store)
    answer.keep(store, {"labels": []})
    assert faults(recipe, store) == []


def test_the_job_tells_what_it_looked_at(copy, capsys):
    store, _ = copy
    assert main([store.uri]) == 0
    told = capsys.readouterr().out
    assert "captions                     3 shards, 9 rows, are right\n" in told
    assert "sheets                       3 files are right\n" in told
    assert "evaluation/predictions       3 shards, 36 rows, are right\n" in told
    assert told.endswith("all of it is right\n")


def test_the_job_tells_what_it_removed(copy, capsys):
    store, _ = copy
    store.write_bytes("images/mine.parquet", b"mine")
    store.delete(sheet_name("fish"))
    store.write_bytes(sheet_name("tree"), b"")
    assert main([store.uri]) == 1
    told = capsys.readouterr().out
    assert "missing  sheets/fish.png" in told
    assert "torn     sheets/tree.png" in told
    assert "foreign  images/mine.parquet" in told
    assert "3 not right\n--repair removes what is not right" in told
    assert main([store.uri, "--repair"]) == 1
    told = capsys.readouterr().out
    assert "1 removed, 1 missing: the next run makes what it needs of them\n" in told
    assert "1 left in place, as no job would make them again: move them away\n" in told


def test_a_stray_file_does_not_make_a_run_wrong(copy, capsys):
    store, _ = copy
    store.write_bytes("images/.DS_Store", b"mine")
    assert main([store.uri, "--repair"]) == 0
    told = capsys.readouterr().out
    assert "other files\n" in told
    assert "stray    images/.DS_Store: no job writes a file of this name\n" in told
    assert told.endswith("all of it is right\n")
    assert store.exists("images/.DS_Store")


def test_a_prior_that_cannot_be_read_is_left_alone(copy, capsys):
    store, _ = copy
    cut(Path(store.path(CAPTION_PRIOR)))
    assert main([store.uri, "--repair"]) == 1
    told = capsys.readouterr().out
    assert f"torn     {CAPTION_PRIOR}: it cannot be read" in told
    assert "are right, compared with their manifests alone: " in told
    assert f"{CAPTION_PRIOR} is damaged: JSONDecodeError" in told
    assert "1 left in place, as what is there followed it: go on in another run folder\n" in told
    assert "move them away" not in told
    assert store.exists(CAPTION_PRIOR)


def test_a_run_without_data(copy, tmp_path, capsys):
    recipe = copy[1]
    store = Store.open(str(tmp_path / "begun"))
    store.claim(recipe)
    for arguments in ([], ["--repair"]):
        assert main([store.uri, *arguments]) == 2
        assert "there is no data in" in capsys.readouterr().err
    store.write_bytes("notes.txt", b"")
    assert main([store.uri]) == 2
    store.write_bytes("images/mine.parquet", b"")
    assert main([store.uri]) == 1


def test_advice_is_for_this_job(copy, capsys):
    store, _ = copy
    with Lease(store):
        assert main([store.uri, "--repair"]) == 2
    assert "--run" not in capsys.readouterr().err
    assert main(["ftp://somewhere/run"]) == 2
    told = capsys.readouterr().err
    assert "cannot open the run folder" in told
    assert "--run" not in told


def test_a_damaged_run_file(copy, capsys):
    store, _ = copy
    store.write_bytes("run.json", b"{")
    assert main([store.uri]) == 2
    told = capsys.readouterr().err
    assert "the file 'run.json' in the run folder" in told
    assert "--re" not in told  # neither option helps
