"""jobs/data_quality.py on a few captions of the drawn world, with a judge that has hardly learned."""

import json

import pytest
import yaml

from jobs import data_quality, inputs
from jobs.data_tables import tables
from jobs.pipeline import DEFAULT_RECIPE
from jobs.variants import parse_variant
from t2ipal.picturebook import judge
from t2ipal.picturebook.classes import NAMES
from t2ipal.picturebook.fit import Schedule
from t2ipal.recipe import load_recipe
from tests.painted_run import begun
from tests.recipes import tiny_recipe


@pytest.fixture
def hasty(monkeypatch):
    """A judge of a few steps."""
    monkeypatch.setattr(judge, "PHOTOS", 64)
    monkeypatch.setattr(judge, "WEB", 64)
    monkeypatch.setattr(judge, "SCHEDULE", Schedule(3, 8, 1e-3, 0.0, warmup=1, save_every=3))
    monkeypatch.setattr(data_quality, "DRAWN", 64)


def write_recipe(path, recipe):
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return str(path)


def small():
    settings = load_recipe(DEFAULT_RECIPE).model_dump(mode="json")
    settings["captions"]["count"] = 32
    settings["captions"]["shard_rows"] = 16
    settings["images"] |= {"captions": 16, "steps": 2, "workers": {"min": 1, "max": 1}}
    settings["methods"]["t2i_pal"]["schedule"]["epochs"] = 1
    return type(load_recipe(DEFAULT_RECIPE)).model_validate(settings)


@pytest.mark.slow
def test_a_whole_study(tmp_path, capsys, hasty, monkeypatch):
    recipe, out = small(), tmp_path / "out"
    plain, filtered = ("16x1", "16x1/lowest=0.5")
    # Captions are there, so that no language model starts.
    begun(str(out / plain / "run"), parse_variant(plain).of(recipe.with_evaluate(split="dev")))
    path = write_recipe(tmp_path / "recipe.yaml", recipe)
    arguments = ["--recipe", path, "--out", str(out), "--work", str(tmp_path / "work"), "--seeds", "1"]
    assert data_quality.main([*arguments, plain, filtered]) == 0
    figures = json.loads((out / "data_quality.json").read_text())
    first, second = figures["variants"]
    assert [first["variant"], second["variant"]] == [plain, filtered]
    assert [first["painted"], second["painted"]] == [16, 16]
    assert [first["images"], second["images"]] == [16, 8]
    assert first["difference"] is None
    expected = second["mAP"]["mean"] - first["mAP"]["mean"]
    assert second["difference"]["difference"] == pytest.approx(expected, abs=2e-3)
    assert set(first["classes"]) == set(NAMES)
    assert figures["drawn"]["images"] == 64
    assert filtered in capsys.readouterr().out
    monkeypatch.setattr(inputs, "session", no_session)
    assert data_quality.main([*arguments, plain, filtered]) == 0
    assert json.loads((out / "data_quality.json").read_text()) == figures


def no_session(recipe, stages):
    raise AssertionError(f"Ray is started for {stages}, and nothing is missing")


def test_a_world_that_the_judge_does_not_know(tmp_path, capsys):
    path = write_recipe(tmp_path / "recipe.yaml", tiny_recipe())
    assert data_quality.main(["--recipe", path, "--out", str(tmp_path / "out")]) == 2
    assert "the judge knows the classes of the drawn world" in capsys.readouterr().err


def test_a_variant_that_is_none(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        data_quality.main(["--out", str(tmp_path), "384"])
    assert ended.value.code == 2
    assert "'384' is no variant" in capsys.readouterr().err


def test_the_tables():
    of_class = {"images": 10, "found": 0.9, "all_found": 0.5}
    common = {"images": 20, "all_found": 0.5, "foreign": 0.1, "classes": {"cat": of_class}}
    first = common | {"variant": "4x2", "mAP": {"mean": 80.0, "std": 0.1}, "difference": None}
    interval = {"difference": 1.0, "low": -0.5, "high": 2.5}
    second = common | {"variant": "4x2/top=3", "mAP": {"mean": 81.0, "std": None}, "difference": interval}
    third = common | {"variant": "8x2", "mAP": {"mean": 79.0, "std": None}, "difference": interval}
    report = {"captions": 4, "asked": 5, "acceptance": 0.8, "classes": {"cat": 4}}
    text = tables(
        {"method": "t2i_pal", "captions": report, "drawn": common, "variants": [first, second, third]}
    )
    assert "4 of 5 asked, 80.0 % accepted; each class in 4 to 4" in text
    assert "80.00 ± 0.10" in text
    assert "+1.00 (-0.50 to +2.50)" in text
    *_, head, row = text.splitlines()
    assert "4x2/top=3" in head
    assert "8x2" not in head  # its images are others
    assert row.split() == ["cat", "10", "90.0", "50.0", "10", "90.0", "50.0"]
