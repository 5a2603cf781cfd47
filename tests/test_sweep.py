"""jobs/sweep.py up to where Ray is started, and with a finished run to its end."""

import json

import pytest
import yaml

from jobs import inputs, sweep
from jobs.sweep import _is_test, _to_choose_by
from t2ipal.errors import UserError
from t2ipal.recipe import load_recipe
from t2ipal.store import Store
from tests.recipes import tiny_recipe

ALPHA = ("--set", "methods.t2i_pal.alpha=0.2,0.5")


def recipe_file(tmp_path, **changes):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe(**changes).model_dump(mode="json")))
    return str(path)


def refused(capsys, *arguments):
    assert sweep.main([*map(str, arguments)]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out, --set"),
        (["--out", "x"], "--set"),
        (["--out", "x", *ALPHA, "--seeds", "3"], "unrecognized arguments"),
    ],
)
def test_arguments_that_are_wrong(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        sweep.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_mistakes_are_told_before_anything_is_written(tmp_path, capsys):
    given = ("--recipe", recipe_file(tmp_path), "--out", tmp_path / "out", "--run", tmp_path / "run")
    assert "did you mean 'alpha'" in refused(capsys, *given, "--set", "methods.t2i_pal.alhpa=1")
    assert "none of tuning" in refused(capsys, *given, "--set", "images.steps=1,2")
    without = recipe_file(tmp_path, evaluate={"dataset": None})
    assert "evaluate.dataset is null" in refused(
        capsys, "--recipe", without, "--out", tmp_path / "out", *ALPHA
    )
    photos = recipe_file(tmp_path, evaluate={"dataset": "/photos"})
    told = refused(capsys, "--recipe", photos, "--out", tmp_path / "out", *ALPHA)
    assert "not those of its test" in told
    assert "--split" in told
    assert not (tmp_path / "out").exists()


def test_the_drawn_world_is_chosen_by_its_development_scenes():
    recipe = tiny_recipe()
    assert (recipe.evaluate.dataset, recipe.evaluate.split) == ("picturebook", "test")
    chosen = _to_choose_by(recipe, None, None)
    assert (chosen.evaluate.dataset, chosen.evaluate.split) == ("picturebook", "dev")
    assert not _is_test(recipe, chosen)
    assert _is_test(recipe, _to_choose_by(recipe, None, "test"))
    photos = tiny_recipe(evaluate={"dataset": "/photos"})
    assert _to_choose_by(photos, None, "val").evaluate.split == "val"
    assert _to_choose_by(photos, "picturebook", None).evaluate.split == "dev"
    assert not _is_test(photos, _to_choose_by(photos, "picturebook", "test"))
    with pytest.raises(UserError, match="not those of its test"):
        _to_choose_by(photos, None, None)


def test_a_relative_folder_within_a_submitted_job(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert "relative" in refused(capsys, "--recipe", recipe_file(tmp_path), "--out", "runs/sweep", *ALPHA)


def test_a_fresh_run_is_bound_to_the_recipe_and_not_to_a_point(tmp_path, capsys, monkeypatch):
    def stopped(*given):
        raise UserError("far enough", "nothing")

    monkeypatch.setattr(inputs, "session", stopped)
    monkeypatch.setattr(inputs, "check_models", lambda *args, **kwargs: None)
    recipe, run = recipe_file(tmp_path), tmp_path / "run"
    assert "far enough" in refused(
        capsys, "--recipe", recipe, "--out", tmp_path / "out", "--run", run, *ALPHA
    )
    Store.open(str(run)).claim(load_recipe(recipe))  # as jobs/pipeline.py does


def test_the_folder_gets_a_table_a_plot_and_what_was_chosen_on(tmp_path, capsys):
    figure = {"mean": 80.0, "std": None, "seeds": [80.0]}
    found = {
        "dataset": "picturebook",
        "split": "test",
        "images": 12,
        "best": {"methods.t2i_pal.alpha": 0.2},
        "points": [
            {
                "settings": {"methods.t2i_pal.alpha": 0.2},
                "seeds": [0],
                "mAP": figure,
                "CF1": 1.0,
                "OF1": 1.0,
                "ECE": 0.0,
            }
        ],
    }
    for is_test in (True, False):
        sweep._show(found, Store.open(str(tmp_path)), is_test)
        assert ("these are the test photos" in capsys.readouterr().out) == is_test
        assert json.loads((tmp_path / "sweep.json").read_text()) == {**found, "chosen_on_test": is_test}
    assert (tmp_path / "sweep.csv").read_text() == "methods.t2i_pal.alpha,seed,mAP\n0.2,0,80.0\n"
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
