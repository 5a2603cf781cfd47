"""Tune: one Ray Train run over frozen features, or the same loop in this process when the recipe asks for
0 workers.
"""

import time
from typing import Any

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.run_files import RESULT
from t2ipal.stages import features
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import origin, source_shards
from t2ipal.vocabulary import Vocabulary

STAGE = "tune"
MAX_FAILURES = 3  # of workers in one run; each goes on from the last checkpoint


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return ["tune"] until there is a result of this recipe and of the features as they are now."""
    if not store.exists(RESULT) or features.tuning_pending(recipe, store):
        return [STAGE]
    result = store.read_json(RESULT)
    current = all(result.get(key) == value for key, value in origin(recipe, store).items())
    return [] if current else [STAGE]


def run(recipe: Recipe, store: Store) -> StageReport:
    """Tune to the end. Needs finished features and, with workers, an initialised Ray."""
    start = time.monotonic()
    missing = pending(recipe, store)
    if missing:
        if waiting := features.tuning_pending(recipe, store):
            raise UserError(
                f"tune: {len(waiting)} shards of features are missing, {waiting[0]!r} for one",
                "run the stage features first",
            )
        _check_images(recipe, store)
        if recipe.tune.workers == 0:
            _in_process(recipe, store)
        else:
            _check(recipe)
            _with_ray(recipe, store)
    result = store.read_json(RESULT)
    return StageReport(
        stage=STAGE,
        rows=result["images"],
        shards_total=1,
        shards_done_before=1 - len(missing),
        seconds=time.monotonic() - start,
        notes={"epochs": len(result["log"]), "loss": round(result["log"][-1]["loss"], 4)},
    )


def _check_images(recipe: Recipe, store: Store) -> None:
    """Raise the UserError of an empty training set before workers are started for it."""
    done = store.shards(features.IMAGES).done()
    if not any(done[name].rows for name in source_shards(recipe, store)[0]):
        raise UserError(
            "tune: there is no synthetic image to tune on",
            "the column `reason` of the table images says why the stage images kept none of them",
        )


def _in_process(recipe: Recipe, store: Store) -> None:
    from t2ipal.tuning.session import run_tuning

    run_tuning(recipe, store, on_epoch=lambda entry: None)


def _check(recipe: Recipe) -> None:
    """Raise here, and at once, the UserError that every worker would meet after its start, and again in
    each retry.
    """
    from t2ipal.clip import load_backbone
    from t2ipal.methods import build_method

    classes = Vocabulary.load(recipe.vocabulary).names
    build_method(recipe.tune.method, load_backbone(recipe.backbone), classes, recipe)


def _with_ray(recipe: Recipe, store: Store) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    tune = recipe.tune
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"recipe": recipe, "store": store},
        scaling_config=ScalingConfig(num_workers=tune.workers, use_gpu=tune.gpu),
        torch_config=TorchConfig(backend="nccl" if tune.gpu else "gloo"),
        run_config=RunConfig(
            name=f"{recipe.name}-{recipe.fingerprint(STAGE)}",
            # Checkpoints are the store's own; Ray keeps only its notes on the run here.
            storage_path=f"{store.path('tune')}/ray",
            storage_filesystem=store.filesystem,
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            worker_runtime_env={"env_vars": _network()},  # type: ignore[call-arg]  # Train V2's own argument
        ),
    )
    trainer.fit()


def _worker(config: dict[str, Any]) -> None:
    import ray.train

    from t2ipal.tuning.session import run_tuning

    run_tuning(config["recipe"], config["store"], on_epoch=ray.train.report)


def _network() -> dict[str, str]:
    """On a cluster of one machine behind its loopback address, keep gloo to that: it may take another."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    addresses = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    return {"GLOO_SOCKET_IFNAME": "lo"} if addresses == {"127.0.0.1"} else {}
