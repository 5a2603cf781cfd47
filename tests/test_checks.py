"""What the job looks at before it starts an engine."""

import sys

import pytest

from jobs.checks import check_models, check_order, check_run_uri, joins_cluster, models_are_local
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from tests.layouts import write_narratives
from tests.recipes import tiny_recipe
from tests.test_recipe import DATA

NOTHING = {"captions": [], "images": [], "features": []}


@pytest.mark.parametrize(
    ("stages", "pending"),
    [
        (["captions", "images"], NOTHING | {"captions": ["c"], "images": ["i"]}),
        (["images"], NOTHING | {"images": ["i"], "features": ["f"]}),  # a later stage is not needed
        (["deploy"], NOTHING | {"report": ["r"]}),  # nor is the page of a run
        (["deploy"], NOTHING),
        (["features"], NOTHING),
    ],
)
def test_order_is_right(stages, pending):
    check_order(stages, pending)


@pytest.mark.parametrize(
    ("stages", "pending", "problem"),
    [
        (["images"], NOTHING | {"captions": ["c"]}, "'images' needs the stage 'captions'"),
        (
            ["captions", "features"],
            NOTHING | {"captions": ["c"], "images": ["i"]},
            "'features' needs .*'images'",
        ),
        (["deploy"], NOTHING | {"features": ["f"]}, "'deploy' needs the stage 'features'"),
    ],
)
def test_what_is_missing_is_named(stages, pending, problem):
    with pytest.raises(UserError, match=problem):
        check_order(stages, pending)


def test_a_submitted_job_needs_a_lasting_place(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    check_run_uri("s3://bucket/run")
    check_run_uri("/shared/run")
    with pytest.raises(UserError, match="relative"):
        check_run_uri("runs/offline")
    monkeypatch.delenv("RAY_ADDRESS")
    check_run_uri("runs/offline")


def recipe(**models):
    """Return a recipe whose models are hub names, unless given."""
    data = {key: DATA[key] for key in DATA}
    for section in ("captions", "images", "backbone"):
        data[section] = DATA[section] | {"model": models.get(section, f"hf-hub:hub/{section}")}
    return Recipe.model_validate(data)


def test_only_models_of_unfinished_stages_are_looked_at(tmp_path):
    gone = recipe(images=str(tmp_path / "gone"))
    check_models(gone, {"captions": ["c"], "features": ["f"]})
    with pytest.raises(UserError, match=r"images\.model: there is no model folder"):
        check_models(gone, {"images": ["i"]})


@pytest.mark.parametrize("key", ["path", "exclude_images"])
def test_a_file_of_captions_is_looked_for_while_captions_are_missing(tmp_path, key):
    write_narratives(tmp_path / "there.jsonl", [("0a", "a fish")])
    (tmp_path / "ids").write_text("0b\n")
    files = {"path": str(tmp_path / "there.jsonl"), "exclude_images": str(tmp_path / "ids")}
    there = tiny_recipe(captions=None, annotated_captions=files)
    gone = tiny_recipe(captions=None, annotated_captions=files | {key: str(tmp_path / "gone")})
    check_models(there, {"captions": ["c"]})
    check_models(gone, {"images": ["i"]} | NOTHING)
    with pytest.raises(UserError, match=rf"annotated_captions\.{key}: there is no file .*gone"):
        check_models(gone, {"captions": ["c"]})


def test_a_corpus_is_looked_for_while_captions_are_missing(tmp_path):
    recipe = tiny_recipe(captions={"prior": {"corpus": str(tmp_path / "gone")}})
    check_models(recipe, NOTHING)
    with pytest.raises(UserError, match=r"captions\.prior\.corpus: there is no file .*gone"):
        check_models(recipe, {"captions": ["c"]})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "none of the 0 sentences"),
        (b"a cow\n", "none of the 1 sentences .* names a class of the vocabulary"),
        (b"a fish\nf\xfcr\n", "line 2 is not UTF-8 text"),
        (b'{"annotations": []}', "looks like JSON"),
    ],
)
def test_a_file_of_captions_is_read_while_captions_are_missing(tmp_path, content, problem):
    (path := tmp_path / "captions.txt").write_bytes(content)
    recipe = tiny_recipe(captions=None, annotated_captions={"path": str(path)})
    check_models(recipe, NOTHING)
    with pytest.raises(UserError, match=problem):
        check_models(recipe, {"captions": ["c"]})


def test_a_corpus_is_read_while_captions_are_missing(tmp_path):
    (path := tmp_path / "corpus.txt").write_text("a fish\na house\n")
    recipe = tiny_recipe(captions={"prior": {"corpus": str(path)}})
    check_models(recipe, NOTHING)
    with pytest.raises(UserError, match=r"none of the sentences of .* \(2\) names two classes"):
        check_models(recipe, {"captions": ["c"]})
    check_models(recipe, {"captions": ["c"]}, counted=True)
    path.write_text("a fish in a house\n")
    check_models(recipe, {"captions": ["c"]})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"scheduler": "DDMScheduler"}, r"images\.scheduler is 'DDMScheduler', which is no scheduler"),
        ({"options": {"clipskip": 1}}, r"images\.options\.clipskip: .*did you mean clip_skip"),
    ],
)
def test_what_the_painter_does_not_take_is_told_while_images_are_missing(settings, problem):
    recipe = tiny_recipe(images={"model": "picturebook:painter"} | settings)
    check_models(recipe, {"captions": ["c"]} | {"images": []})
    with pytest.raises(UserError, match=problem):
        check_models(recipe, {"images": ["i"]})


def test_of_a_model_on_the_hub_only_names_of_diffusers_are_known():
    check_models(tiny_recipe(images={"model": "hub/painter", "options": {"x": 1}}), {"images": ["i"]})


def test_a_server_needs_its_key_and_no_model_folder(tmp_path, monkeypatch):
    endpoint = {"url": "http://127.0.0.1:1/v1", "key_variable": "WRITER_KEY"}
    recipe = tiny_recipe(captions={"model": str(tmp_path / "gone"), "endpoint": endpoint})
    monkeypatch.delenv("WRITER_KEY", raising=False)
    check_models(recipe, NOTHING)
    with pytest.raises(UserError, match="variable 'WRITER_KEY' is not set"):
        check_models(recipe, {"captions": ["c"]})
    monkeypatch.setenv("WRITER_KEY", "secret")
    check_models(recipe, {"captions": ["c"]})


def test_the_endpoint_needs_the_backbone_when_all_is_done(tmp_path):
    gone = recipe(backbone=str(tmp_path / "gone"))
    check_models(gone, {})
    with pytest.raises(UserError, match=r"backbone\.model: there is no model folder"):
        check_models(gone, {}, serves=True)


def test_weights_of_another_activation_are_found_before_any_work():
    with pytest.raises(UserError, match="QuickGELU"):
        check_models(recipe(backbone="RN50"), {"features": ["f"]})


@pytest.mark.parametrize(
    ("address", "joins"),
    [
        ("10.0.0.1:6379", True),
        ("auto", True),
        ("ray://head:10001", True),
        ("http://head:8265", False),
        ("", False),
    ],
)
def test_the_address_of_the_job_server_is_no_cluster_to_join(monkeypatch, address, joins):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert joins_cluster() == joins


def test_offline_only_when_no_model_has_a_hub_name(tmp_path):
    local = {"captions": "picturebook:writer", "images": str(tmp_path), "backbone": "picturebook:clip"}
    assert models_are_local(recipe(**local))
    assert not models_are_local(recipe(**local | {"images": "hub/painter"}))
    sections = {key: {"model": local[key]} for key in ("images", "backbone")}
    assert models_are_local(tiny_recipe(captions=None, annotated_captions={"path": "a.txt"}, **sections))
    assert not models_are_local(tiny_recipe(captions={"model": "hub/writer"}, **sections))
    server = {"model": "hub/writer", "endpoint": {"url": "http://127.0.0.1:1/v1"}}
    assert models_are_local(tiny_recipe(captions=server, **sections))


def test_the_backbones_name_is_looked_at_if_a_stage_needs_it(monkeypatch):
    recipe = tiny_recipe(backbone={"model": "RN50", "pretrained": "openaii"})
    with pytest.raises(UserError, match=r"backbone\.pretrained"):
        check_models(recipe, {"features": ["features-00000"]})
    monkeypatch.setitem(sys.modules, "t2ipal.clip.backbone", None)  # importing it would fail
    check_models(recipe, {"features": []})
    check_models(tiny_recipe(backbone={"model": "picturebook:clip"}), {"features": ["features-00000"]})
