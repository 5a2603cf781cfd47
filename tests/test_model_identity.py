import shutil

import pyarrow as pa
import pytest

from t2ipal.errors import UserError
from t2ipal.model_identity import MODELS_FILE, check_models_unchanged, folder_digest
from t2ipal.store import Store
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_folder


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(tiny_folder("resnet"), tmp_path / "clip")


@pytest.fixture
def run(tmp_path, model):
    recipe = tiny_recipe(backbone={"model": str(model)}, captions={"model": "picturebook:writer"})
    return recipe, Store.open(str(tmp_path / "run"))


def begin(store, *tables):
    for table in tables:
        store.shards(table).write("a", pa.table({"a": [0]}))


def test_the_same_models_in_another_place_are_accepted(run, model, tmp_path):
    recipe, store = run
    begin(store, "captions", "features")
    check_models_unchanged(recipe, store)
    assert set(store.read_json(MODELS_FILE)) == {"captions.model", "backbone.model"}  # no hub name
    moved = shutil.copytree(model, tmp_path / "elsewhere")
    (moved / "README.md").write_text("no part of the model")
    backbone = recipe.backbone.model_copy(update={"model": str(moved)})
    check_models_unchanged(recipe.model_copy(update={"backbone": backbone}), store)


@pytest.mark.parametrize("made", ["features", "caption_features", "test_features"])
def test_other_weights_are_noticed(run, model, made):
    recipe, store = run
    begin(store, made)
    check_models_unchanged(recipe, store)
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(UserError, match=r"the model behind backbone\.model has changed"):
        check_models_unchanged(recipe, store)


def test_a_model_may_be_corrected_until_something_is_made_with_it(run, model):
    recipe, store = run
    begin(store, "captions", "images")
    check_models_unchanged(recipe, store)
    before = store.read_json(MODELS_FILE)
    (model / "model.safetensors").write_bytes(b"others")
    check_models_unchanged(recipe, store)
    after = store.read_json(MODELS_FILE)
    assert {key for key in before if before[key] != after[key]} == {"backbone.model"}


def test_a_server_has_no_local_model_but_a_corpus_may_be_local(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a fish\n")
    captions = {"model": "picturebook:writer", "prior": {"corpus": str(corpus)}}
    recipe = tiny_recipe(captions=captions | {"endpoint": {"url": "http://127.0.0.1:1/v1"}})
    store = Store.open(str(tmp_path / "run"))
    begin(store, "captions")
    check_models_unchanged(recipe, store)
    assert set(store.read_json(MODELS_FILE)) == {"captions.prior.corpus"}
    check_models_unchanged(tiny_recipe(captions=captions), store)  # an engine of its own, later
    corpus.write_text("a house\n")
    with pytest.raises(UserError, match=r"the file behind captions\.prior\.corpus has changed"):
        check_models_unchanged(recipe, store)


@pytest.mark.parametrize("key", ["path", "exclude_images"])
def test_another_file_of_captions_is_noticed(tmp_path, key):
    files = {"path": tmp_path / "captions.json", "exclude_images": tmp_path / "ids.txt"}
    for path in files.values():
        path.write_text("1" * 3_000_000)  # more than is read of a large model file
    source = {name: str(path) for name, path in files.items()}
    recipe, store = (
        tiny_recipe(captions=None, annotated_captions=source),
        Store.open(str(tmp_path / "run")),
    )
    begin(store, "captions")
    check_models_unchanged(recipe, store)
    assert set(store.read_json(MODELS_FILE)) == set(recipe.caption_source.files())
    check_models_unchanged(recipe, store)
    with files[key].open("r+") as file:
        file.seek(100_000)
        file.write("2")
    with pytest.raises(UserError, match=rf"the file behind annotated_captions\.{key} has changed"):
        check_models_unchanged(recipe, store)


def test_a_model_that_is_gone_is_passed_over_and_not_forgotten(run, model):
    recipe, store = run
    begin(store, "captions", "features")
    check_models_unchanged(recipe, store)
    before = store.read_json(MODELS_FILE)
    shutil.rmtree(model)
    check_models_unchanged(recipe, store)
    assert store.read_json(MODELS_FILE) == before


@pytest.mark.parametrize("start", [0, 7_000_000, 9_999_999])
def test_a_large_file_is_known_by_pieces(tmp_path, start):
    size = 10_000_000
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(size))
    before = folder_digest(tmp_path)
    stop = min(start + 400_000, size)  # a small layer
    path.write_bytes(bytes(start) + b"x" * (stop - start) + bytes(size - stop))
    assert folder_digest(tmp_path) != before
