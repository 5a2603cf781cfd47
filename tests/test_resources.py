"""What the stages ask of Ray."""

import pytest

from jobs.resources import WORK_AROUND_ENGINE_CPUS, check_resources, needs
from t2ipal.errors import UserError
from t2ipal.stages.engine import SMALL_STEP_CPUS
from tests.recipes import tiny_recipe

ALL = ["captions", "images", "features", "tune", "deploy"]
SMALL = {"CPU": 2.0}


def test_the_work_around_the_engine_is_what_the_stage_says():
    assert WORK_AROUND_ENGINE_CPUS == 2 * SMALL_STEP_CPUS


@pytest.mark.parametrize(
    ("changes", "stage", "message"),
    [
        ({"images": {"workers": {"gpus": 1}}}, "images", r"images.workers needs 1 CPUs and 1 GPUs"),
        ({"features": {"workers": {"cpus": 3}}}, "features", r"features.workers needs 3 CPUs and 0 GPUs"),
        ({"captions": {"workers": {"cpus": 2}}}, "captions", r"captions.workers needs 2.2 CPUs"),
        ({"tune": {"workers": 3}}, "tune", r"tune.workers needs 3 CPUs"),
        ({"tune": {"workers": {"min": 3, "max": 9}}}, "tune", r"tune.workers needs 3 CPUs"),
        ({"tune": {"workers": 2, "gpu": True}}, "tune", r"tune.workers needs 0 CPUs and 2 GPUs"),
        ({"serve": {"replicas": {"min": 3, "max": 3}}}, "deploy", r"serve.replicas.min needs 3 CPUs"),
    ],
)
def test_a_stage_that_would_wait_for_ever_is_named(changes, stage, message, capsys):
    recipe = tiny_recipe(**changes)
    with pytest.raises(UserError, match=message):
        check_resources(recipe, ALL, SMALL, grows=False)
    check_resources(recipe, [name for name in ALL if name != stage], SMALL, grows=False)  # it has no work
    check_resources(recipe, ALL, SMALL, grows=True)
    assert f"so {stage} will wait for more" in capsys.readouterr().out


def test_a_comparison_needs_one_gpu_however_many_workers_a_job_tunes_with():
    recipe = tiny_recipe(tune={"workers": 8, "gpu": True})
    check_resources(recipe, ["compare"], {"CPU": 1.0, "GPU": 1.0}, grows=False)
    with pytest.raises(UserError, match=r"tune.gpu needs 1 CPUs and 1 GPUs"):
        check_resources(recipe, ["compare"], SMALL, grows=False)
    check_resources(tiny_recipe(tune={"workers": 8}), ["compare"], SMALL, grows=False)


@pytest.mark.parametrize(
    "source",
    [
        {"captions": None, "annotated_captions": {"path": "a.txt"}},
        {"captions": {"workers": {"gpus": 1}, "endpoint": {"url": "http://127.0.0.1:1/v1"}}},
    ],
)
def test_captions_from_a_file_or_a_server_need_nothing(source):
    assert "captions" not in {need.stage for need in needs(tiny_recipe(**source))}


def test_what_fits_is_not_spoken_of(capsys):
    check_resources(tiny_recipe(), ALL, SMALL, grows=True)
    assert capsys.readouterr().out == ""


def test_a_pool_needs_one_worker_and_an_engine_all_its_parts():
    pool = {"workers": {"min": 4, "max": 9}}
    split = {"workers": {"gpus": 4}, "engine": {"tensor_parallel_size": 4}}
    found = {need.stage: (need.cpus, need.gpus) for need in needs(tiny_recipe(images=pool, captions=split))}
    assert found["images"] == (1, 0)
    assert found["captions"] == (4.2, 4)
