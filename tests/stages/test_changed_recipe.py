"""A run that goes on with other settings of tuning, another filter or other photos."""

import json
from pathlib import Path
from unittest.mock import Mock

import pyarrow as pa
import pytest

from jobs import pipeline
from t2ipal import answer
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.run_files import ANSWER, CAPTION_REPORT, CARD, METRICS, REPORT_PAGE
from t2ipal.stages import bundle, captions, evaluate, features, images, tune
from t2ipal.stages.changed_recipe import KEPT, begun, claim_tables, follow_recipe
from t2ipal.store import RUN_FILE
from t2ipal.tuning.source import AGREEMENT
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, write_dataset
from tests.recipes import tiny_recipe

AFTER = ["tune", "evaluate", "bundle"]


def changed(recipe, **sections):
    settings = recipe.settings()
    for name, changes in sections.items():
        settings[name] |= changes
    return Recipe.model_validate(settings)


def follow(recipe, store):
    store.claim(recipe, begun(store))
    return follow_recipe(recipe, store)


def test_what_is_not_begun_binds_no_run(store):
    one, two = tiny_recipe(images={"steps": 1}), tiny_recipe(images={"steps": 2})
    assert follow(one, store) == follow(two, store) == []
    assert store.read_json(RUN_FILE) == {"stages": two.fingerprints(), "recipe": two.settings()}

    store.shards("captions").write("captions-00000", pa.table({"caption_id": ["c00000000"]}))
    assert follow(one, store) == []
    other = changed(one, captions={"count": 30})
    with pytest.raises(UserError, match=r"another recipe; what differs: captions\.count"):
        follow(other, store)
    assert store.read_json(RUN_FILE)["recipe"] == one.settings()

    store.shards("images").write("images-00000-000", pa.table({"image_id": ["c00000000-0"]}))
    with pytest.raises(UserError, match=r"another recipe; what differs: images\.steps"):
        follow(two, store)


def test_notes_on_what_failed_bind_no_run(store):
    one, two = tiny_recipe(images={"steps": 1}), tiny_recipe(images={"steps": 2})
    follow(one, store)
    store.write_json("images/_lost/images-00000-000.json", {"processes": 3})
    assert begun(store) == ()
    follow(two, store)
    assert store.read_json(RUN_FILE)["recipe"] == two.settings()


def test_a_job_that_only_completes_tables_may_correct_what_is_not_begun(store):
    wrong, right = tiny_recipe(images={"steps": 1}), tiny_recipe(images={"steps": 2})
    store.claim(wrong)
    claim_tables(right, store)
    assert store.read_json(RUN_FILE) == {"stages": right.fingerprints(), "recipe": right.settings()}
    store.shards("images").write("images-00000-000", pa.table({"image_id": ["c00000000-0"]}))
    with pytest.raises(UserError, match=r"another recipe; what differs: images\.steps"):
        claim_tables(wrong, store)


def test_and_leaves_what_follows_to_the_run(copy):
    recipe, store = copy
    bound = store.read_bytes(RUN_FILE)
    claim_tables(changed(recipe, tune={"holdout": 0.5}), store)
    assert store.read_bytes(RUN_FILE) == bound
    assert bundle.pending(recipe, store) == []


def kept(store):
    """What lies in the tables that a run keeps, and when it was written."""
    return {
        path: path.stat().st_mtime_ns
        for table in KEPT
        for path in Path(store.path(table)).rglob("*")
        if path.is_file()
    }


def files(store, folder):
    return [path for path in Path(store.path(folder)).rglob("*") if path.is_file()]


def finish(recipe, store):
    for stage in (tune, evaluate, bundle):
        assert not stage.run(recipe, store).already_complete
    assert not any(stage.pending(recipe, store) for stage in (features, tune, evaluate, bundle))


def test_other_settings_of_tuning_make_what_follows_anew(copy):
    recipe, store = copy
    before, trial = kept(store), Trial.of(recipe, store)
    parameters = store.read_bytes(trial.tuned)
    store.write_json(ANSWER, {})
    other = changed(recipe, tune={"method": "tai_dpt"})

    assert follow(other, store) == AFTER

    assert store.read_json(RUN_FILE) == {"stages": other.fingerprints(), "recipe": other.settings()}
    assert not [path for name in (*AFTER, "evaluation", "deploy") for path in files(store, name)]
    assert features.pending(other, store) == []
    finish(other, store)
    assert kept(store) == before
    assert store.read_bytes(trial.tuned) != parameters
    assert store.read_json(CARD)["method"] == "tai_dpt"
    assert {*store.shards(evaluate.TABLE).done()} == {*other.evaluate.baselines, "tai_dpt"}

    assert follow(recipe, store) == AFTER
    finish(recipe, store)
    assert store.read_bytes(trial.tuned) == parameters


def test_the_same_recipe_and_what_changes_no_output_leave_the_run_as_it_is(copy):
    recipe, store = copy
    bound = store.read_bytes(RUN_FILE)
    others = changed(recipe, serve={"port": 9000}, evaluate={"train_split": "dev"})
    assert {*recipe.fingerprints()} - {*KEPT, *AFTER, "test_features"} == {"train_features"}
    assert follow(recipe, store) == follow(others, store) == []
    assert store.read_bytes(RUN_FILE) == bound
    assert bundle.pending(others, store) == []


def test_a_job_that_is_killed_while_it_removes_results_leaves_none_of_any_recipe(copy, monkeypatch):
    recipe, store = copy
    other = changed(recipe, tune={"holdout": 0.5})

    def half(self, name):
        store.delete(f"{name}/tuned.safetensors")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "delete_folder", half)
        with pytest.raises(KeyboardInterrupt):
            follow(other, store)
    assert store.exists(Trial.of(recipe, store).result)
    assert follow(recipe, store) == AFTER
    finish(recipe, store)
    assert follow(recipe, store) == []


def test_another_filter_paints_nothing_again(copy):
    recipe, store = copy
    before, plain = kept(store), store.read_bytes(Trial.of(recipe, store).tuned)
    filtered = changed(recipe, images={"agreement": {"lowest": 0.25}})
    assert follow(filtered, store) == AFTER
    assert captions.pending(filtered, store) == images.pending(filtered, store) == []
    report = features.run(filtered, store)  # without Ray: there are verdicts to write, and no features
    assert report.notes["computed"] == 0
    assert report.notes["disagreeing"] > 0
    finish(filtered, store)
    assert store.read_bytes(Trial.of(filtered, store).tuned) != plain

    assert follow(recipe, store) == AFTER
    assert store.shards(AGREEMENT).written() == []  # verdicts of no filter
    finish(recipe, store)
    assert store.read_bytes(Trial.of(recipe, store).tuned) == plain
    assert kept(store) == before


def test_other_photos_leave_the_tuned_parameters(copy, tmp_path):
    recipe, store = copy
    before, result = kept(store), Path(store.path(Trial.of(recipe, store).result)).stat().st_mtime_ns
    write_dataset(tmp_path / "more", count=16)
    other = changed(recipe, evaluate={"dataset": str(tmp_path / "more")})
    assert follow(other, store) == ["test_features", "evaluate", "bundle"]
    assert features.pending(other, store) == ["test-00000"]
    assert tune.pending(other, store) == []
    compute_features(other, store, (features.TEST,))
    for stage in (evaluate, bundle):
        assert not stage.run(other, store).already_complete
    assert store.read_json(METRICS)["images"] == 16
    assert Path(store.path(Trial.of(recipe, store).result)).stat().st_mtime_ns == result
    assert kept(store) == before


@pytest.mark.parametrize(
    ("section", "change"),
    [("captions", {"count": 30}), ("images", {"steps": 3}), ("backbone", {"model": "no"})],
)
def test_what_a_run_keeps_is_not_changed(copy, section, change):
    recipe, store = copy
    before = {path: path.stat().st_mtime_ns for path in files(store, ".")}
    with pytest.raises(UserError, match=f"another recipe; what differs: {section}"):
        follow(changed(recipe, **{section: change}, tune={"holdout": 0.5}), store)
    assert {path: path.stat().st_mtime_ns for path in files(store, ".")} == before


def test_a_job_that_only_asks_for_images_follows_the_recipe_too(copy, tmp_path, capsys):
    recipe, store = copy
    store.write_json(ANSWER, {})
    file = tmp_path / "recipe.yaml"
    arguments = ["--recipe", str(file), "--run", store.root, "--stages", "images"]
    file.write_text(json.dumps(recipe.settings()))  # which is YAML
    assert pipeline.main(arguments) == 0
    assert "t2i_pal" in capsys.readouterr().out  # the figures, as they are there
    file.write_text(json.dumps(changed(recipe, tune={"holdout": 0.5}).settings()))
    assert pipeline.main(arguments) == 0
    told = capsys.readouterr().out
    assert "the recipe has changed; made anew: tune, evaluate, bundle" in told
    assert "t2i_pal" not in told
    assert store.read_json(RUN_FILE)["recipe"]["tune"]["holdout"] == 0.5
    assert not store.exists(ANSWER)


def test_a_report_that_is_gone_is_written_without_ray(copy, tmp_path, monkeypatch):
    recipe, store = copy
    answer.keep(store, {"labels": []})
    classes = dict.fromkeys(recipe.vocabulary, 4)
    figures = {"asked": 12, "rejected": 0, "accepted": [12], "acceptance": 1.0, "captions": 12}
    store.write_json(CAPTION_REPORT, figures | {"classes": classes, "pairs": {}})
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(recipe.settings()))  # which is YAML
    monkeypatch.setattr(pipeline.RaySession, "start", Mock(side_effect=AssertionError("Ray was started")))
    assert not store.exists(REPORT_PAGE)
    assert pipeline.main(["--recipe", str(file), "--run", store.root]) == 0
    assert store.exists(REPORT_PAGE)
