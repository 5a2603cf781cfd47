"""jobs/evaluate.py up to where Ray is started."""

import pytest
import yaml

from jobs import evaluate, inputs
from jobs.evaluate import ALL, DEFAULT, _names, _parse
from t2ipal.errors import UserError
from t2ipal.method_names import ABLATIONS, LIMITED, NAMES, UNTUNED, WITHOUT, parse_name
from t2ipal.recipe import load_recipe
from t2ipal.store import Store
from tests.recipes import tiny_recipe


def test_the_default_is_every_method_and_all_is_every_ablation_too():
    assert _names("default") == DEFAULT
    unlimited = set(NAMES) - set(LIMITED)
    assert set(DEFAULT) == {*unlimited, *(f"{name}_standardised" for name in UNTUNED)}
    assert _names("all") == ALL
    ablations = [f"{name}{WITHOUT}{part}" for name, parts in ABLATIONS.items() for part in parts]
    assert [*DEFAULT, *ablations] == ALL
    assert len(set(ALL)) == len(ALL)
    for name in ALL:
        assert parse_name(name)


def test_names_are_taken_once_in_their_order():
    assert _names("t2i_pal, zero_shot ,t2i_pal") == ["t2i_pal", "zero_shot"]
    assert _names("pvp-without-adapter") == ["pvp-without-adapter"]


@pytest.mark.parametrize("text", ["t2i_pall", "t2i_pal,", "t2i_pal-without-luck"])
def test_an_unknown_name_is_refused(text):
    with pytest.raises(UserError, match=r"no method is named|has no part"):
        _names(text)


def recipe_file(tmp_path, **changes):
    data = tiny_recipe(**changes).model_dump(mode="json")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"),
        (["--out", "x", "--seeds", "0"], "'0' is not a number of 1 or more"),
        (["--out", "x", "--seeds", "-1"], "is not a number of 1 or more"),
        (["--out", "x", "--seeds", "two"], "'two' is not a number of 1 or more"),
        (["--out", "x", "--colour"], "unrecognized arguments"),
    ],
)
def test_arguments_that_are_wrong(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_arguments_that_are_left_out():
    given = _parse(["--out", "x"])
    assert (given.seeds, given.methods, given.bundle, given.run, given.dataset, given.split) == (
        3,
        "default",
        None,
        None,
        None,
        None,
    )


def refused(capsys, *arguments):
    assert evaluate.main([*map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_mistakes_are_told_without_a_traceback(tmp_path, capsys):
    recipe, out = recipe_file(tmp_path), tmp_path / "out"
    assert "no method is named 'pv'" in refused(
        capsys, "--recipe", recipe, "--out", out, "--run", tmp_path / "run", "--methods", "pv"
    )
    bundle = refused(capsys, "--recipe", recipe, "--out", out, "--bundle", tmp_path)
    assert "is not a recognizer bundle" in bundle
    missing = refused(capsys, "--recipe", tmp_path / "none.yaml", "--out", out)
    assert "none.yaml" in missing
    without = recipe_file(tmp_path, evaluate={"dataset": None})
    assert "evaluate.dataset is null" in refused(capsys, "--recipe", without, "--out", out)


def test_a_relative_folder_within_a_submitted_job(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert "relative" in refused(capsys, "--recipe", recipe_file(tmp_path), "--out", "runs/table")


def test_a_fresh_run_is_bound_to_the_recipe_and_not_to_the_photos_of_the_comparison(
    tmp_path, capsys, monkeypatch
):
    def stopped(*given):
        raise UserError("far enough", "nothing")

    monkeypatch.setattr(evaluate, "evaluate", stopped)
    recipe, out, run = recipe_file(tmp_path), tmp_path / "out", tmp_path / "run"
    arguments = ("--recipe", recipe, "--out", out, "--run", run, "--split", "dev")
    assert "far enough" in refused(capsys, *arguments)
    Store.open(str(run)).claim(load_recipe(recipe))  # as jobs/pipeline.py does


@pytest.mark.parametrize(("methods", "asked"), [("zero_shot,t2i_pal", True), ("zero_shot", False)])
def test_only_what_is_tuned_asks_for_the_resources_of_a_trial(tmp_path, capsys, monkeypatch, methods, asked):
    def stopped(recipe, stages):
        raise UserError(f"stages {stages}", "nothing")

    monkeypatch.setattr(inputs, "session", stopped)
    monkeypatch.setattr(inputs, "check_models", lambda *args, **kwargs: None)
    recipe, out, run = recipe_file(tmp_path), tmp_path / "out", tmp_path / "run"
    told = refused(capsys, "--recipe", recipe, "--out", out, "--run", run, "--methods", methods)
    assert ("'compare'" in told) == asked
    assert "'captions', 'images', 'features'" in told
