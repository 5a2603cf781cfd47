"""How the stages tell Ray on which nodes they run; tests/cluster sees them do so on a real cluster."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from ray.data import DataContext

from serve.app import build
from serve.args import ServeArgs
from t2ipal.recipe import Ranks
from t2ipal.stages import engine as engine_module
from t2ipal.stages import tune
from t2ipal.stages.engine import _keep_parts_together, placement_group_of_its_own
from t2ipal.stages.ray_data import quiet_ray_data
from t2ipal.store import Store
from t2ipal.tuning.trial import Trial
from tests.recipes import tiny_recipe

PAINTERS = {"t2ipal/pool": "painters"}


def selector():
    return DataContext.get_current().execution_options.label_selector


def test_all_of_a_dataset_is_for_nodes_with_the_labels_within_only():
    with quiet_ray_data(labels=PAINTERS):
        assert selector() == PAINTERS
        assert DataContext.get_current().copy().execution_options.label_selector == PAINTERS
    assert selector() is None
    with quiet_ray_data(labels={}):
        assert selector() is None


@pytest.mark.parametrize("labels", [{}, PAINTERS])
def test_workers_that_tune(tmp_path, monkeypatch, labels):
    monkeypatch.setattr(tune, "_network", dict)
    recipe = tiny_recipe(tune={"workers": {"max": 2, "labels": labels}})
    scaling = tune._trainer(Trial.of(recipe, Store.open(str(tmp_path)))).scaling_config
    assert scaling.label_selector == (labels or None)


def test_a_number_of_workers_has_no_labels():
    assert Ranks.model_validate(2) == Ranks(min=2, max=2, labels={})


@pytest.mark.parametrize("labels", [{}, PAINTERS])
def test_replicas(labels):
    application = build(ServeArgs(serves={"recognizers": {"a": "b"}}, labels=labels))
    replica = application._bound_deployment.init_args[1]._bound_deployment
    assert replica.ray_actor_options.get("label_selector") == (labels or None)


@pytest.mark.parametrize("backend", ["ray", "mp"])
@pytest.mark.parametrize("parts", [1, 2])
def test_an_engine_has_a_placement_group_where_ray_gives_it_one(monkeypatch, backend, parts):
    engine = {"tensor_parallel_size": parts, "distributed_executor_backend": backend}
    workers = {"cpus": 4, "gpus": parts, "labels": PAINTERS}
    recipe = tiny_recipe(captions={"workers": workers, "engine": engine})
    asked = []
    monkeypatch.setattr(engine_module, "_keep_parts_together", lambda stage, _: asked.append(stage))
    monkeypatch.setattr(engine_module, "one_row_each", _built)
    with pytest.raises(Built):
        next(engine_module.engine_answers(recipe.captions, ["captions-00000"], Mock()))
    assert bool(asked) == (backend == "ray")


class Built(Exception):
    pass


def _built(shards):
    raise Built


def test_an_engine_of_several_parts_has_a_placement_group_of_its_own():
    stage = SimpleNamespace(map_batches_kwargs={"ray_remote_args_fn": None})  # as ray.data.llm has it
    engine = {"tensor_parallel_size": 2}
    recipe = tiny_recipe(captions={"workers": {"cpus": 4, "gpus": 2, "labels": PAINTERS}, "engine": engine})
    _keep_parts_together(stage, recipe.captions)
    options = stage.map_batches_kwargs["ray_remote_args_fn"]
    assert options.func is placement_group_of_its_own
    assert options.args == ([{"CPU": 2.0, "GPU": 1.0}] * 2, PAINTERS)
