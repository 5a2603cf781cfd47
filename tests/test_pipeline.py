"""The job as a user starts it: a process of its own, with the real engines."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from t2ipal.lease import Lease
from t2ipal.store import Store

ROOT = Path(__file__).parents[1]
OFFLINE = ROOT / "jobs" / "recipes" / "offline.yaml"


def small_recipe(folder, **changes):
    """Write the offline recipe, scaled down, with dotted keys changed; return its path."""
    recipe = yaml.safe_load(OFFLINE.read_text())
    small = {
        "run": str(folder / "run"),
        "captions.count": 48,
        "captions.shard_rows": 24,
        "images.captions": 30,
        "images.per_caption": 1,
        "images.steps": 4,
        "methods.t2i_pal.schedule": {"epochs": 2, "batch": 16, "optimizer": "adamw"},
        "serve.port": free_port(),
    }
    for key, value in (small | {key.replace("__", "."): value for key, value in changes.items()}).items():
        *sections, last = key.split(".")
        section = recipe
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*arguments, **environment):
    """Run the job to its end."""
    command = [sys.executable, str(ROOT / "jobs" / "pipeline.py"), *map(str, arguments)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    variables = inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=1100, check=False)


def assert_refused(result, *words):
    """One message with the problem and a remedy below it, status 2, no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    _, *remedy = result.stderr[result.stderr.index("error: ") :].splitlines()
    assert remedy
    assert remedy[-1].startswith("  ")
    for word in words:
        assert word in result.stderr


def begin(run, table, shard):
    """Leave what a job does that is killed in its first shard."""
    (run / table).mkdir()
    (run / table / f"{shard}.parquet").write_bytes(b"")


@pytest.mark.whole_job
@pytest.mark.timeout(1200)
def test_the_whole_job_and_again(tmp_path):
    recipe = small_recipe(tmp_path)
    before = ray_processes()
    first = start("--recipe", recipe)
    assert first.returncode == 0, first.stdout + first.stderr
    run = tmp_path / "run"

    manifests = [json.loads(p.read_text()) for p in sorted((run / "captions" / "_manifests").glob("*.json"))]
    captions = sum(m["rows"] for m in manifests)
    assert captions > 30
    assert sum(m["extra"]["asked"] for m in manifests) == 48
    painted = [json.loads(p.read_text()) for p in (run / "images" / "_manifests").glob("*.json")]
    assert sum(m["rows"] for m in painted) == 30  # the others teach by their text

    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert metrics["dataset"] == "picturebook"
    assert metrics["images"] == 1000
    for method in ("zero_shot", "zero_shot_standardised", "t2i_pal"):
        mean = metrics["methods"][method]["mAP"]["mean"]
        assert 0 < mean < 100
        assert f"{mean:.2f}" in first.stdout

    answer = json.loads((run / "deploy" / "answer.json").read_text())
    card = json.loads((run / "bundle" / "recognizer.json").read_text())
    assert set(answer["scores"]) == set(card["classes"])
    assert {each["name"] for each in answer["labels"]} <= set(card["classes"])
    assert (run / "bundle" / "recognizer.safetensors").stat().st_size > 0
    assert f"report {run}/report/index.html" in first.stdout
    assert (run / "report" / "index.html").stat().st_size > 100_000
    assert first.stdout.rstrip().endswith(str(run))
    told = {rate["stage"]: rate for rate in json.loads((run / "rates.json").read_text())["rates"]}
    stages = ["captions", "images", "features", "tune", "evaluate", "bundle", "report"]
    assert list(told) == ["start", *stages, "deploy"]
    assert told["captions"]["work"]["answers"]["amount"] == 96  # of two candidates each
    assert told["images"]["work"]["images"]["amount"] == 30
    assert all(rate["seconds"] >= rate["once_s"] > 0 for rate in told.values())
    plan = start("--recipe", recipe, "--plan")
    assert plan.stdout.count(" took ") == 9, plan.stdout + plan.stderr
    assert ray_processes() <= before  # nothing is left running

    files = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    begin = time.monotonic()
    again = start("--recipe", recipe, PYTHONPROFILEIMPORTTIME="1")
    assert time.monotonic() - begin < 3
    assert again.returncode == 0, again.stderr
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "t2ipal.store" in imported
    assert not imported & {"ray", "torch", "vllm", "diffusers", "open_clip"}
    assert "nothing to do" in again.stdout
    assert again.stdout.count("already complete") == 7
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == files


def ray_processes():
    """Return the processes of this machine that belong to some Ray cluster."""
    marks = ("ray::", "/raylet", "gcs_server", "/haproxy")
    found = set()
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if any(mark in command for mark in marks):
            found.add(process.info["pid"])
    return found


def test_an_unknown_key(tmp_path):
    recipe = small_recipe(tmp_path, tune__holdot=0.3)
    assert_refused(start("--recipe", recipe), "'tune.holdot' is unknown", "did you mean 'holdout'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("vocabulary", "problem"), [([], "no classes"), (["fish", "house", "fish"], "'fish' is listed twice")]
)
def test_an_unusable_list_of_classes(tmp_path, vocabulary, problem):
    assert_refused(start("--recipe", small_recipe(tmp_path, vocabulary=vocabulary)), problem)


@pytest.mark.parametrize("key", ["captions.model", "images.model", "backbone.model"])
def test_a_missing_model_folder(tmp_path, key):
    recipe = small_recipe(tmp_path, **{key.replace(".", "__"): "./nowhere"})
    assert_refused(start("--recipe", recipe), key, "nowhere")


def test_a_damaged_model_folder(tmp_path):
    model = tmp_path / "clip"
    shutil.copytree(ROOT / "t2ipal" / "picturebook" / "weights" / "clip", model)
    weights = next(model.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    recipe = small_recipe(tmp_path, backbone__model="./clip")
    assert_refused(start("--recipe", recipe), weights.name, "damaged")


def test_a_run_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    result = start("--recipe", small_recipe(tmp_path), "--run", tmp_path / "file" / "run")
    assert_refused(result, "cannot write to the run folder")


def test_a_run_of_another_recipe(tmp_path):
    """Each start stops at the stages' order, after it has taken the folder."""
    for guidance in (8.0, 7.0):  # while nothing is made the recipe may be another one
        recipe = small_recipe(tmp_path, images__guidance=guidance)
        assert_refused(start("--recipe", recipe, "--stages", "images"), "'captions'")
    claimed = (tmp_path / "run" / "run.json").read_bytes()
    assert yaml.safe_load(claimed)["recipe"]["images"]["guidance"] == 7.0
    begin(tmp_path / "run", "captions", "captions-00000")
    other = small_recipe(tmp_path, captions__temperature=0.5)
    assert_refused(start("--recipe", other), "another recipe", "captions.temperature", "another run folder")
    assert (tmp_path / "run" / "run.json").read_bytes() == claimed


def test_a_test_set_is_missed_from_features_on(tmp_path):
    recipe = small_recipe(tmp_path, evaluate__dataset="nowhere")
    assert_refused(start("--recipe", recipe, "--stages", "images"), "needs the stage 'captions'")
    assert_refused(start("--recipe", recipe), "there is no test set at", str(tmp_path / "nowhere"))


def test_classes_of_which_the_test_set_has_none(tmp_path):
    recipe = small_recipe(tmp_path, vocabulary=["fox", "owl", "elk"])
    assert_refused(start("--recipe", recipe), "holds a class of the vocabulary", "evaluate.dataset")


def test_other_weights_behind_the_same_name(tmp_path):
    model = tmp_path / "clip"
    shutil.copytree(ROOT / "t2ipal" / "picturebook" / "weights" / "clip", model)
    recipe = small_recipe(tmp_path, backbone__model="./clip")
    assert_refused(start("--recipe", recipe, "--stages", "images"), "'captions'")
    begin(tmp_path / "run", "captions", "captions-00000")
    (model / "open_clip_config.json").write_text("{ }")  # with which nothing was made
    assert_refused(start("--recipe", recipe, "--stages", "images"), "'captions'")
    begin(tmp_path / "run", "features", "images-00000-000")
    (model / "open_clip_config.json").write_text("{}")
    assert_refused(start("--recipe", recipe, "--stages", "images"), "behind backbone.model has changed")


def test_a_second_job_on_the_same_run(tmp_path):
    with Lease(Store.open(str(tmp_path / "run"))):
        assert_refused(start("--recipe", small_recipe(tmp_path)), "another job", f"process {os.getpid()}")


def test_a_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        recipe = small_recipe(tmp_path, serve__port=port)
        assert_refused(start("--recipe", recipe), f"port {port}", "serve.port")


@pytest.mark.whole_job  # its own Ray starts, and is all that does
def test_a_stage_that_would_wait_for_ever(tmp_path):
    recipe = small_recipe(tmp_path, tune__workers=9)
    assert_refused(start("--recipe", recipe), "tune.workers needs 9 CPUs", "Ray has 4 CPUs and 0 GPUs")


def test_an_unknown_stage(tmp_path):
    result = start("--recipe", small_recipe(tmp_path), "--stages", "caption")
    assert result.returncode == 2
    assert "there is no stage 'caption'; the stages are captions, images" in result.stderr


def test_a_relative_run_folder_on_a_cluster(tmp_path):
    result = start("--recipe", small_recipe(tmp_path, run="runs/x"), RAY_ADDRESS="127.0.0.1:1")
    assert_refused(result, "relative", "s3://")
