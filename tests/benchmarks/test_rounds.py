import json
import os

import pytest

from jobs.benchmark import main
from jobs.benchmarks.commits import commits, seconds_per_row
from jobs.benchmarks.report import Report, from_here
from jobs.benchmarks.rounds import by_turns
from jobs.benchmarks.scale import together
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS


def test_the_ratio_is_that_of_medians_and_the_sides_take_turns():
    told = []
    seconds = {"bare": iter([1.0, 2.0, 9.0]), "stage": iter([4.0, 1.0, 8.0])}

    def side(name):
        told.append(name)
        return next(seconds[name])

    rounds = by_turns(lambda: side("bare"), lambda: side("stage"), 3)
    assert told == ["bare", "stage"] * 3
    assert rounds.ratio == 2.0 / 4.0
    figures = rounds.figures()
    assert figures["ratio_to_bare"] == 0.5
    assert figures["ratios_of_rounds"] == [1 / 4, 2 / 1, 9 / 8]
    assert "ratio to bare 0.500" in rounds.table("plain")


def test_a_stage_is_timed_from_its_first_commit_on():
    assert seconds_per_row([10.0, 12.0, 14.0], 4) == 4.0 / 8
    with pytest.raises(ValueError, match="too few"):
        seconds_per_row([10.0], 4)


def test_commits_are_in_the_order_of_time(tmp_path):
    store = Store.open(str(tmp_path))
    shards = store.shards("captions")
    for number in range(3):
        shards.write(f"captions-0000{number}", CAPTIONS.empty_table())
    for number, second in enumerate((30, 10, 20)):
        os.utime(store.path(f"captions/_manifests/captions-0000{number}.json"), (second, second))
    assert list(commits(shards).items()) == [
        ("captions-00001", 10.0),
        ("captions-00002", 20.0),
        ("captions-00000", 30.0),
    ]


def test_workers_count_while_all_of_them_are_at_work():
    # One commits every second from 0 on, the other every two from 3 on.
    times = {1: [float(i) for i in range(10)], 2: [3.0, 5.0, 7.0]}
    assert together(times, 2) == 1.0 + 0.5
    with pytest.raises(ValueError, match="of 3 workers 2 came to work"):
        together(times, 3)
    with pytest.raises(ValueError, match="less than two shards"):
        together({1: [0.0, 1.0], 2: [1.0, 9.0]}, 2)


def test_what_is_written_names_the_machine_and_the_versions(tmp_path):
    report = Report("images", {"rows": 3}, {"ratio_to_bare": 0.97}, "a table")
    report.write(tmp_path / "new" / "images.json")
    content = json.loads((tmp_path / "new" / "images.json").read_text())
    assert content["figures"] == {"ratio_to_bare": 0.97}
    assert content["machine"]["cores"] >= 1
    assert {"torch", "ray", "diffusers"} <= set(content["versions"])
    assert report.text().endswith("rows 3\na table")


def test_a_model_in_a_folder_is_named_as_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here(str(tmp_path / "runs" / "random")) == "runs/random"
    assert from_here("picturebook:writer") == "picturebook:writer"
    assert from_here("/models/writer") == "/models/writer"


def test_a_benchmark_of_a_recipe_that_is_not_there(capsys):
    assert main(["images", "--recipe", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err
