import json
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.verify import main
from t2ipal.captions.annotated import caption_seed
from t2ipal.images.codec import sha256
from t2ipal.stages import features, images
from t2ipal.store import RUN_FILE, Store
from t2ipal.verification import repair, verify, verify_files
from tests.painted_run import paint, pictures
from tests.recipes import tiny_recipe
from tests.verification.damage import cut, flip

SHARD = "images/images-00001-000"
TABLES = [
    "captions",
    "images",
    "features",
    "caption_features",
    "agreement",
    "test_features",
    "evaluation/predictions",
]


def faults(store, recipe):
    return [fault for report in verify(recipe, store) for fault in report.faults]


def rewrite(store, table, name, change):
    """Write a shard again with its rows changed, as a defect of ours would: its manifest fits."""
    shards = store.shards(table)
    rows = shards.read(name).to_pylist()
    change(rows)
    schema = shards.read(name).schema
    shards.write(name, pa.Table.from_pylist(rows, schema=schema), shards.done()[name].extra)


def test_a_whole_run_is_right(copy, capsys):
    store, recipe = copy
    found = {report.table: (report.shards, report.rows) for report in verify(recipe, store)}
    assert found == {
        "captions": (3, 9),
        "images": (3, 18),
        "features": (3, 18),
        "caption_features": (3, 9),
        "agreement": (3, 18),
        "test_features": (1, 12),
        "evaluation/predictions": (3, 36),
    }
    assert not any(report.unknown for report in verify(recipe, store))
    assert main([store.uri]) == 0
    assert main([store.uri, "--repair"]) == 0
    assert "not right" not in capsys.readouterr().out
    assert pictures(store)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("damage", "kind", "reason"),
    [
        (lambda rows, manifest: rows.unlink(), "missing", "its rows are gone"),
        (lambda rows, manifest: manifest.unlink(), "missing", "it has no manifest"),
        (lambda rows, manifest: [rows.unlink(), manifest.unlink()], "missing", "it is not there"),
        (lambda rows, manifest: cut(rows), "torn", "bytes were written|were written"),
        (lambda rows, manifest: flip(rows), "changed", "its bytes are not those"),
        (lambda rows, manifest: cut(manifest), "torn", "its manifest cannot be read"),
    ],
)
def test_a_damaged_file_is_named(copy, tmp_path, table, damage, kind, reason):
    store, recipe = copy
    name = store.shards(table).written()[-1]
    folder = tmp_path / "copy" / table
    damage(folder / f"{name}.parquet", folder / "_manifests" / f"{name}.json")
    first, *others = faults(store, recipe)
    assert (first.kind, first.table, first.name) == (kind, table, name)
    assert any(part in first.reason for part in reason.split("|"))
    assert not others or {each.reason for each in others} == {"what it was made from has changed since"}


def test_bytes_that_are_not_parquet(copy):
    store, recipe = copy
    manifest = store.read_json("images/_manifests/images-00001-000.json")
    store.write_bytes(f"{SHARD}.parquet", b"PAR1 and no more")
    manifest |= {"bytes": 16, "sha256": sha256(b"PAR1 and no more")}
    store.write_json("images/_manifests/images-00001-000.json", manifest)
    (fault, *_) = faults(store, recipe)
    assert (fault.kind, str(fault).split(": ")[0]) == ("torn", f"torn     {SHARD}")


def seed(rows):
    rows[1]["seed"] += 1


def one_bit(rows):
    rows[1]["image"] = rows[1]["image"][:-1] + bytes([rows[1]["image"][-1] ^ 1])


def twice(rows):
    rows[1] = rows[0]


def order(rows):
    rows.reverse()


def lost(rows):
    del rows[0]


def label(rows):
    rows[0]["labels"] = [0, 1, 2]


def requested(rows):
    rows[0]["requested"] = [2]


def another(rows):
    key = "image_id" if "image_id" in rows[0] else "caption_id"
    rows[0][key] = rows[0][key].replace("c0", "c1")


def no_number(rows):
    rows[1]["global"][2] = float("nan")


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("captions", seed, "the seed of 'c00000005' is not one that the recipe gives it"),
        ("captions", twice, "'c00000004' is not of this shard, or is there twice"),
        ("captions", order, "is not of this shard, or is there twice"),
        ("captions", label, "labels of 'c00000004' are [0, 1, 2], and ["),
        ("captions", requested, "requested of 'c00000004' are [2], and ["),
        ("captions", another, "'c10000004' is not of this shard"),
        ("images", seed, "the seed of 'c00000004-1' is not one"),
        ("images", one_bit, "the bytes of 'c00000004-1' are not those of its checksum"),
        ("images", twice, "row 1 is {'image_id': 'c00000004-0'"),
        ("images", order, "row 0 is {'image_id': 'c00000007-1'"),
        ("images", lost, "it has 5 rows, and 6 are called for"),
        ("images", label, "'labels': [0, 1, 2]}"),
        ("images", another, "row 0 is {'image_id': 'c10000004-0'"),
        ("features", lost, "it has 5 rows, and 6 are called for"),
        ("features", label, "row 0 is"),
        ("features", another, "row 0 is"),
        ("features", no_number, "the features of 'c00000004-1' are NaN or infinite"),
        ("caption_features", no_number, "the features of 'c00000005' are NaN or infinite"),
        ("test_features", no_number, "the features of '1.png' are NaN or infinite"),
        ("caption_features", twice, "row 1 is"),
        ("caption_features", another, "row 0 is"),
        ("agreement", lost, "it has 5 rows, and 6 are called for"),
        ("agreement", order, "row 0 is {'image_id': 'c00000007-1'"),
        ("test_features", order, "row 0 is {'image_id': '"),
        ("evaluation/predictions", order, "row 0 is {'image': '11.png'}"),
        ("evaluation/predictions", lost, "it has 11 rows, and 12 are called for"),
    ],
)
def test_rows_that_the_recipe_does_not_call_for(copy, table, change, reason):
    store, recipe = copy
    names = store.shards(table).written()
    rewrite(store, table, names[min(1, len(names) - 1)], change)
    first, *others = faults(store, recipe)
    assert (first.kind, first.table) == ("changed", table)
    assert reason in first.reason
    later = ("what it was made from has changed since", "called for")
    assert all(each.table != table and each.reason.endswith(later) for each in others)


def test_images_of_other_captions(copy):
    store, recipe = copy
    rewrite(store, "captions", "captions-00001", lambda rows: rows[0].update(text="another text"))
    found = [(each.kind, f"{each.table}/{each.name}") for each in faults(store, recipe)]
    assert found == [("changed", SHARD), ("changed", "caption_features/captions-00001")]


def test_what_no_recipe_of_this_run_has_made(copy, tmp_path):
    store, recipe = copy
    rows = store.shards("images").read("images-00000-000")
    store.shards("images").write("images-00009-000", rows)
    (folder := tmp_path / "copy" / "images" / "_manifests").joinpath(".x.json.0123.tmp").write_bytes(b"{")
    other = store.read_json("captions/_manifests/captions-00002.json") | {"fingerprint": "another"}
    store.write_json("captions/_manifests/captions-00002.json", other)
    found = {(each.kind, each.table, each.name): each.reason for each in faults(store, recipe)}
    assert found["foreign", "captions", "captions-00002"] == "it was written under another recipe"
    # Whether there are to be images of these captions, they alone would say.
    assert ("foreign", "images", "images-00009-000") not in found
    (left,) = (
        each for report in verify_files(recipe, store) for each in report.faults if each.kind == "torn"
    )
    assert str(left).startswith("torn     images/_manifests/.x.json.0123.tmp: a process was killed")
    other["fingerprint"] = store.fingerprints["captions"]
    store.write_json("captions/_manifests/captions-00002.json", other)
    repair(store, [*faults(store, recipe), left])
    assert faults(store, recipe) == []
    assert sorted(path.name for path in folder.iterdir()) == [f"images-0000{n}-000.json" for n in range(3)]
    assert images.pending(recipe, store) == features.pending(recipe, store) == []


def test_what_is_removed_is_made_again_and_the_same(copy, whole, tmp_path, capsys):
    store, recipe = copy
    flip(tmp_path / "copy" / f"{SHARD}.parquet")
    assert images.pending(recipe, store) == []  # nobody looks at every byte of a finished run
    assert main([store.uri]) == 1
    assert f"changed  {SHARD}: its bytes" in capsys.readouterr().out
    assert images.pending(recipe, store) == []
    assert main([store.uri, "--repair"]) == 1
    assert images.pending(recipe, store) == ["images-00001-000"]
    paint(recipe, store)
    assert main([store.uri]) == 0
    assert pictures(store) == pictures(whole[1])


def test_a_table_that_was_not_begun_is_not_missed(copy):
    store, recipe = copy
    for table in (*TABLES[2:-1], "evaluation"):
        store.filesystem.delete_dir(store.path(table))
    assert [report.table for report in verify(recipe, store)] == ["captions", "images"]
    store.filesystem.delete_dir(store.path("captions"))
    kinds = [(each.kind, each.table) for each in faults(store, recipe)]
    assert kinds == [("missing", "captions")] * 3


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_the_classes_of_captions_whose_prior_cannot_be_read(copy, tmp_path, damage):
    store, recipe = copy
    path = tmp_path / "copy" / "captions" / "_prior.json"
    path.unlink() if damage == "gone" else cut(path)
    report = next(verify(recipe, store))
    assert (report.rows, report.faults) == (9, [])
    assert "_prior.json is " in report.unknown


def test_verdicts_that_nobody_asks_for_any_more(copy):
    store, recipe = copy
    flip(Path(store.path("agreement/images-00001-000.parquet")))
    assert [each.table for each in faults(store, recipe)] == ["agreement"]
    store.delete_folder("evaluation")  # as a job does that follows another recipe
    assert faults(store, recipe.model_copy(update={"images": unfiltered(recipe)})) == []


def unfiltered(recipe):
    return recipe.images.model_copy(update={"agreement": None})


def test_photos_that_are_elsewhere(copy, whole, capsys):
    store, recipe = copy
    elsewhere = recipe.with_evaluate(dataset="./nowhere")
    (report,) = [each for each in verify(elsewhere, store) if each.table == "test_features"]
    assert (report.rows, report.faults) == (12, [])
    assert "there is no test set at './nowhere'" in report.unknown


def test_a_run_in_an_object_store(copy, s3, tmp_path):
    there = Store.open(s3.uri(tmp_path.name))
    for file in (tmp_path / "copy").rglob("*.*"):
        there.write_bytes(str(file.relative_to(tmp_path / "copy")), file.read_bytes())
    assert main([there.uri]) == 0
    there.write_bytes(f"{SHARD}.parquet", b"PAR1")
    assert main([there.uri, "--repair"]) == 1
    assert not there.exists(f"{SHARD}.parquet")


def test_where_there_is_no_run(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "there is no run in" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_a_run_file_that_holds_no_recipe(copy, capsys):
    store, _ = copy
    content = store.read_json(RUN_FILE)
    del content["recipe"]["images"]["steps"]
    store.write_json(RUN_FILE, content)
    assert main([store.uri]) == 2
    assert "images.steps" in (told := capsys.readouterr().err)
    assert "--recipe" in told


def test_the_recipe_of_another_run(copy, tmp_path, capsys):
    store, _ = copy
    content = store.read_json(RUN_FILE)["recipe"]
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(content))  # which is YAML
    assert main([store.uri, "--recipe", str(path)]) == 0
    content["images"]["guidance"] = 3.0
    path.write_text(json.dumps(content))
    assert main([store.uri, "--recipe", str(path)]) == 2
    assert "images.guidance" in capsys.readouterr().err


def test_the_shards_of_a_file_of_captions(tmp_path, copy):
    store, _ = copy
    source = {"annotated_captions": {"path": "unused.txt"}, "captions": None}
    annotated = tiny_recipe(**source)
    there = Store.open(str(tmp_path / "annotated"))
    there.claim(annotated)
    shards = there.shards("captions")

    def write(name, numbers, labels=(0,)):
        row = store.shards("captions").read("captions-00000").to_pylist()[0]
        row |= {"text": "a fish", "labels": labels, "requested": [0]}
        rows = [row | {"caption_id": f"c{n:08d}", "seed": caption_seed(annotated.seed, n)} for n in numbers]
        schema = store.shards("captions").read("captions-00000").schema
        shards.write(name, pa.Table.from_pylist(rows, schema=schema), {"shards": 3})

    for name, numbers in (("captions-00000", [7, 2]), ("captions-00001", [30, 8]), ("captions-00002", [31])):
        write(name, numbers)
    assert faults(there, annotated) == []
    write("captions-00001", [7, 30])
    (fault,) = faults(there, annotated)
    assert fault.reason == "the caption 'c00000007' is of no file of captions, or is there twice"
    write("captions-00001", [8, 30], labels=(0, 1))
    (fault,) = faults(there, annotated)
    assert fault.reason == "labels of 'c00000008' are [0, 1], and [0] are called for"
    write("captions-00001", [8, 30])
    shards.delete(["captions-00001"])
    (fault,) = faults(there, annotated)
    assert (fault.kind, fault.name) == ("missing", "captions-00001")
