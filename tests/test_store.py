import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.store import RUN_FILE, Store
from tests.test_recipe import DATA, changed
from tests.whole_table import read_all

TABLE = pa.table({"id": ["a", "b", "c"], "value": [1, 2, 3]})


def test_a_shard_is_done_when_written_and_not_before(store):
    shards = store.shards("captions")
    assert shards.missing(["s-1", "s-0"]) == ["s-1", "s-0"]
    manifest = shards.write("s-0", TABLE, extra={"asked": 4})
    assert shards.missing(["s-1", "s-0"]) == ["s-1"]
    assert shards.done() == {"s-0": manifest}
    assert (manifest.rows, manifest.extra) == (3, {"asked": 4})


def test_one_shard_is_found_when_it_is_done(store):
    shards = store.shards("captions")
    manifest = shards.write("s-0", TABLE)
    assert shards.find("s-0") == manifest
    assert shards.find("s-1") is None
    assert replace(shards, fingerprint="another recipe").find("s-0") is None
    data = shards.content("s-0")
    store.write_bytes("captions/s-0.parquet", data[:-1])
    assert shards.find("s-0") is None
    store.delete("captions/s-0.parquet")
    assert shards.find("s-0") is None


def test_reads_what_was_written(store):
    shards = store.shards("captions")
    shards.write("s-1", TABLE.slice(2))
    shards.write("s-0", TABLE.slice(0, 2))
    assert shards.read("s-0").equals(TABLE.slice(0, 2))
    assert read_all(shards).equals(TABLE)  # in name order
    assert shards.read("s-0", columns=["value"]).column_names == ["value"]


def test_columns_come_without_the_rest_of_the_file(store, monkeypatch):
    store.shards("captions").write("s-0", TABLE)
    monkeypatch.delattr(Store, "read_bytes")
    assert store.shards("captions").read("s-0", ["value"]).equals(TABLE.select(["value"]))
    with pytest.raises(AttributeError):
        store.shards("captions").read("s-0")
    with pytest.raises(FileNotFoundError):
        store.shards("captions").read("s-1", ["value"])


def test_writing_again_replaces(store):
    shards = store.shards("captions")
    shards.write("s-0", TABLE)
    shards.write("s-0", TABLE.slice(1))
    assert read_all(shards).equals(TABLE.slice(1))


def test_the_same_rows_give_the_same_bytes(store):
    shards = store.shards("captions")
    assert shards.write("s-0", TABLE).sha256 == shards.write("s-1", TABLE).sha256


@pytest.mark.parametrize("damage", ["gone", "truncated", "manifest gone", "manifest cut"])
def test_a_damaged_shard_is_missing(store, damage):
    shards = store.shards("captions")
    shards.write("s-0", TABLE)
    parquet, manifest = "captions/s-0.parquet", "captions/_manifests/s-0.json"
    if damage == "gone":
        store.filesystem.delete_file(store.path(parquet))
    elif damage == "truncated":
        store.write_bytes(parquet, store.read_bytes(parquet)[:-1])
    elif damage == "manifest gone":
        store.filesystem.delete_file(store.path(manifest))
    else:
        store.write_bytes(manifest, store.read_bytes(manifest)[:-20])
    assert shards.missing(["s-0"]) == ["s-0"]


def test_a_shard_that_cannot_be_read_says_what_to_do(store):
    store.shards("captions").write("s-0", TABLE)
    store.write_bytes("captions/s-0.parquet", b"PAR1 nothing PAR1")
    for columns in (None, ["value"]):
        with pytest.raises(UserError, match=r"(?s)captions/s-0 in .*jobs/verify\.py with --repair"):
            store.shards("captions").read("s-0", columns)


READ_AND_COUNT = """
import os, sys
from t2ipal.store import Store
shards = Store.open(sys.argv[1], writable=False).shards("captions")
before = len(os.listdir("/proc/self/task"))
assert shards.read("s-0").num_rows == 3
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_reading_a_whole_shard_leaves_no_thread_behind(tmp_path):
    """One that lets go of Python's memory while the interpreter ends would abort the process."""
    Store.open(str(tmp_path)).shards("captions").write("s-0", TABLE)
    command = [sys.executable, "-c", READ_AND_COUNT, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == "0\n"


def test_json_and_bytes(store):
    assert not store.exists("evaluation/metrics.json")
    store.write_json("evaluation/metrics.json", {"mAP": 50.5, "name": "Möwe"})
    assert store.exists("evaluation/metrics.json")
    assert store.read_json("evaluation/metrics.json") == {"mAP": 50.5, "name": "Möwe"}
    assert not store.exists("evaluation")  # a folder
    with pytest.raises(FileNotFoundError):
        store.read_bytes("evaluation/nothing")


def test_a_folder_goes_with_all_that_is_in_it(store):
    for name in ("captions/_drafts/a", "captions/_drafts/_manifests/b", "captions/c"):
        store.write_bytes(name, b"text")
    for _ in range(2):
        store.delete_folder("captions/_drafts")
        assert [file.base_name for file in store.files("captions")] == ["c"]
        assert not store.exists("captions/_drafts/_manifests/b")


def test_a_folder_that_is_made_while_it_is_listed(store, monkeypatch):
    """As by a worker, when a job looks for its first shard."""
    listings = []

    class Local:
        def get_file_info(self, selector):
            if not listings:
                listings.append(selector)
                store.write_bytes("images/a", b"")
                raise FileNotFoundError(selector.base_dir)
            return store.filesystem.get_file_info(selector)

    looking = replace(store, filesystem=Local())
    assert [file.base_name for file in looking.files("images")] == ["a"]


def test_claim_keeps_another_recipe_out(store):
    store.claim(Recipe.model_validate(DATA))
    store.shards("captions").write("s-0", TABLE)
    store.claim(Recipe.model_validate(changed("serve.port", 9000)))  # changes no output
    with pytest.raises(UserError, match=r"captions\.count, tune\.holdout .*'captions'"):
        store.claim(Recipe.model_validate(changed("captions.count", 9) | {"tune": {"holdout": 0.3}}))
    assert store.shards("captions").missing(["s-0"]) == []  # nothing lost


def test_only_the_stages_asked_for_keep_another_recipe_out(store):
    store.claim(Recipe.model_validate(DATA))
    before = store.read_json(RUN_FILE)
    store.claim(Recipe.model_validate(changed("tune.holdout", 0.3)), ("captions", "images"))
    assert store.read_json(RUN_FILE) == before
    with pytest.raises(UserError, match=r"what differs: tune\.holdout \("):
        store.claim(Recipe.model_validate(changed("tune.holdout", 0.3)), ("captions", "tune"))


def test_shards_carry_the_fingerprint_of_their_stage(store):
    recipe = Recipe.model_validate(DATA)
    store.claim(recipe)
    shards = store.shards("images")
    assert shards.write("s-0", TABLE).fingerprint == recipe.fingerprint("images")
    other = type(shards)(store, "images", fingerprint="another")
    assert other.missing(["s-0"]) == ["s-0"]


def test_a_damaged_run_file_is_named(store):
    store.write_bytes(RUN_FILE, b"{")
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        store.claim(Recipe.model_validate(DATA))


def test_survives_pickling(store):
    shards = pickle.loads(pickle.dumps(store.shards("captions")))
    shards.write("s-0", TABLE)
    assert store.shards("captions").missing(["s-0"]) == []


def test_the_folder_of_a_stage_is_one_parquet_dataset(tmp_path):
    shards = Store.open(str(tmp_path)).shards("captions")
    shards.write("s-0", TABLE)
    shards.write("s-1", TABLE)
    assert pq.read_table(tmp_path / "captions").num_rows == 2 * TABLE.num_rows


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Store.open("runs/x").uri == str(tmp_path / "runs" / "x")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the run folder"):
        Store.open(str(tmp_path / "file" / "run"))


def test_the_uri_of_a_file_leads_to_it(store):
    store.write_json("bundle/card.json", {"a": 1})
    assert Store.open(store.uri_of("bundle")).read_json("card.json") == {"a": 1}


def test_many_open_a_run_at_once(store):
    def opened(_):
        return Store.open(store.uri).files("")

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(opened, range(64)))) == 64
    assert store.files("") == []  # nothing is left of their trying


def test_a_run_that_is_only_read_is_not_made(tmp_path):
    store = Store.open(str(tmp_path / "nowhere"), writable=False)
    assert not store.exists(RUN_FILE)
    assert not (tmp_path / "nowhere").exists()


def test_reading_and_writing_a_file_are_few_requests(s3, tmp_path):
    store = Store.open(s3.uri(tmp_path.name))
    s3.requests.clear()
    store.write_bytes("large", bytes(3_000_000))
    assert len(store.read_bytes("large")) == 3_000_000
    assert s3.requests == ["PUT", "HEAD", "GET"]


@pytest.mark.parametrize("content", [{"a": 1}, {"a": 1, "b": "longer"}])
def test_an_object_that_is_replaced_while_it_is_read(s3, tmp_path, content):
    store = Store.open(s3.uri(tmp_path.name))
    store.write_json("x", {"a": 1, "b": 2})
    with s3.before_a_read(lambda: store.write_json("x", content)):
        assert store.read_json("x") == content


def test_a_finished_table_costs_few_requests(s3, tmp_path):
    store = Store.open(s3.uri(tmp_path.name))
    names = [f"s-{i:02}" for i in range(64)]

    def requests_of_done(store):
        s3.requests.clear()
        assert list(store.shards("captions").done()) == [*names, "s-64"]
        return len(s3.requests)

    s3.requests.clear()
    for name in names:
        store.shards("captions").write(name, TABLE)
    assert s3.requests == ["PUT"] * 2 * 64
    time.sleep(2)  # a manifest is not believed to last in the second in which it was written
    store.shards("captions").write("s-64", TABLE)
    # Two folders; an index that is not there; where each manifest is, and what it says; the new index.
    assert requests_of_done(store) == 2 + 1 + 2 * 65 + 1
    assert requests_of_done(store) == 2 + 2
    assert requests_of_done(Store.open(store.uri)) == 2 + 2 + 2
    store.write_bytes("captions/_index.json", b"{")  # which is read twice: it might be replaced meanwhile
    assert requests_of_done(Store.open(store.uri, writable=False)) == 2 + 2 * 2 + 2 * 65
    assert store.read_bytes("captions/_index.json") == b"{"


def test_folders_are_listed_once_until_something_is_written(store):
    other = Store.open(store.uri)
    other.shards("captions").write("s-0", TABLE)
    with store.listed_once():
        assert store.shards("captions").written() == ["s-0"]
        other.shards("captions").write("s-1", TABLE)
        assert store.shards("captions").written() == ["s-0"]
        store.expect_changes()
        assert store.shards("captions").written() == ["s-0", "s-1"]
    with store.listed_once():
        assert list(store.shards("captions").done()) == ["s-0", "s-1"]
        store.shards("captions").write("s-2", TABLE)
        assert list(store.shards("captions").done()) == ["s-0", "s-1", "s-2"]
        store.shards("captions").delete(["s-0"])
        assert store.shards("captions").written() == ["s-1", "s-2"]
    other.shards("captions").write("s-3", TABLE)
    assert store.shards("captions").written() == ["s-1", "s-2", "s-3"]


def test_an_index_is_not_believed_about_files_that_have_changed(s3, tmp_path):
    store = Store.open(s3.uri(tmp_path.name))
    for i in range(65):
        store.shards("captions").write(f"s-{i}", TABLE, {"source": "a"})
    time.sleep(2)
    assert len(Store.open(store.uri).shards("captions").done()) == 65
    assert store.exists("captions/_index.json")
    Store.open(store.uri).shards("captions").write("s-7", TABLE, {"source": "b"})  # of the same length
    assert Store.open(store.uri).shards("captions").done()["s-7"].extra == {"source": "b"}


def test_a_manifest_that_was_written_again_is_read_again(store):
    shards = store.shards("captions")
    for extra in ({"source": "a"}, {"source": "b"}):  # of the same length
        shards.write("s-0", TABLE, extra)
        assert shards.done()["s-0"].extra == extra
    shards.delete(["s-0"])
    assert shards.done() == {}


def test_a_manifest_that_another_process_wrote_is_read_again(store):
    store.shards("captions").write("s-0", TABLE)
    assert store.shards("captions").done()["s-0"].rows == 3
    Store.open(store.uri).shards("captions").write("s-0", TABLE.slice(2))
    assert store.shards("captions").done()["s-0"].rows == 1


def test_a_bucket_that_does_not_exist(s3):
    with pytest.raises(UserError, match="nobody"):
        Store.open(f"s3://nobody/run?{s3.query}")


def test_an_unknown_scheme():
    with pytest.raises(UserError, match="nowhere://x"):
        Store.open("nowhere://x")


WRITE_FOR_EVER = """
import itertools, sys
from t2ipal.store import Store
store = Store.open(sys.argv[1])
for i in itertools.count():
    store.write_json("state.json", {"i": i, "pad": "x" * 200_000})
    if i == 3:
        print("ready", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    for _ in range(3):
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as writer:
            writer.stdout.readline()
            writer.kill()
        assert len(Store.open(str(tmp_path)).read_json("state.json")["pad"]) == 200_000
