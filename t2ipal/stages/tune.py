"""Tune: one Ray Train run over frozen features, or the same loop in this process when the recipe asks for
0 workers.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.run_files import RAY_NOTES
from t2ipal.stages import features
from t2ipal.stages.effort import Effort, Work
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import short_digest, source_shards
from t2ipal.tuning.trial import Trial
from t2ipal.watch import Progress, Watch, repeated, unwatched

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer

STAGE = "tune"
MAX_FAILURES = 3  # of workers without a finished epoch in between; each goes on from the last checkpoint
LOOK_S = 2.0  # how often the driver looks for epochs that workers have finished
RESIZE_S = 60.0  # how often a group smaller than it may be looks for room; to grow, it starts again


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return ["tune"] until there is a result of this recipe and of the features as they are now."""
    done = Trial.of(recipe, store).is_done() and not features.tuning_pending(recipe, store)
    return [] if done else [STAGE]


def run(recipe: Recipe, store: Store, watch: Watch = unwatched) -> StageReport:
    """Tune to the end. Needs finished features and, with workers, an initialised Ray. `watch` is told of
    finished epochs.
    """
    start = time.monotonic()
    missing, trial = pending(recipe, store), Trial.of(recipe, store)
    if missing:
        if waiting := features.tuning_pending(recipe, store):
            raise UserError(
                f"tune: {len(waiting)} shards of features are missing, {waiting[0]!r} for one",
                "run the stage features first",
            )
        check_images(trial)
        epochs = _check(trial)
        checked = time.monotonic() - start
        with _watched(trial, epochs, watch):
            if recipe.tune.workers.max == 0:
                _in_process(trial)
            else:
                _with_ray(trial)
    seconds = time.monotonic() - start
    result = store.read_json(trial.result)
    return StageReport(
        stage=STAGE,
        rows=result["rows"],
        shards_total=1,
        shards_done_before=1 - len(missing),
        seconds=seconds,
        notes={"epochs": len(result["log"]), "loss": round(result["log"][-1]["loss"], 4)}
        | (_spent(trial, checked, seconds) if missing else {}),
        effort=_effort(trial, result["ranks"]) if missing else Effort(),
    )


def _effort(trial: Trial, ranks: int) -> Effort:
    """Return the work of the attempt that came to the end: of each phase its rows, once for each epoch."""
    work = trial.store.read_json(trial.times)["work"]
    found = {phase: Work(each["amount"], each["seconds"] * ranks) for phase, each in work.items()}
    return Effort(found, ranks)


def _spent(trial: Trial, checked: float, seconds: float) -> dict[str, str]:
    """What the stage's time went into: a look at what it reads, what its last workers did, and around them
    their start and end, with all that workers did which were lost.
    """
    parts = {"checking": checked, **trial.store.read_json(trial.times)["parts"]}
    parts["around"] = max(0.0, seconds - sum(parts.values()))
    return {name: f"{each:.1f} s" for name, each in parts.items()}


def check_images(trial: Trial) -> None:
    """Raise the UserError of an empty training set before workers are started for it."""
    done = trial.source.shards(trial.table).done()
    if not any(done[name].rows for name in source_shards(trial.recipe, trial.source, trial.table)):
        raise UserError(
            "tune: there is no synthetic image to tune on",
            "the column `reason` of the table images says why the stage images kept none of them",
        )


def _in_process(trial: Trial) -> None:
    from t2ipal.tuning.session import run_tuning

    run_tuning(trial)


@contextmanager
def _watched(trial: Trial, planned: int, watch: Watch) -> Iterator[None]:
    """Within, `watch` is told of the epochs that are in the store: workers, which may be anywhere, tell of
    nothing else. A store that does not answer for a while is the workers' business.
    """
    told = 0

    def look() -> None:
        nonlocal told
        with suppress(OSError, UserError):
            if (done := _finished_epochs(trial)) != told:
                watch(Progress(done, planned, "epochs"))
                told = done

    with repeated(look, LOOK_S):
        yield


def _check(trial: Trial) -> int:
    """Return the number of epochs. Raise here, and at once, the UserError that every worker would meet after
    its start, and again in each retry.
    """
    from t2ipal.clip import load_backbone
    from t2ipal.tuning.check import InputCheck, check_checkpoint
    from t2ipal.tuning.loop import check_accumulation

    method = InputCheck(load_backbone(trial.recipe.backbone))(trial)
    check_checkpoint(trial, method)
    check_accumulation(method, trial.recipe.tune.accumulate)
    return sum(phase.schedule.epochs for phase in method.phases())


def _with_ray(trial: Trial) -> None:
    """Train to the end, whatever workers are lost, as long as there is progress between the losses."""
    from ray.train import TrainingFailedError

    trainer = _trainer(trial)
    while True:
        before = _finished_epochs(trial)
        try:
            trainer.fit()
        except TrainingFailedError:
            if _finished_epochs(trial) == before:
                raise
        else:
            return


def _finished_epochs(trial: Trial) -> int:
    return len(trial.store.read_json(trial.progress)["log"]) if trial.store.exists(trial.progress) else 0


def _trainer(trial: Trial) -> "TorchTrainer":
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    recipe, tune = trial.recipe, trial.recipe.tune
    least, most = tune.workers.min, tune.workers.max
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"trial": trial},
        scaling_config=ScalingConfig(  # type: ignore[call-arg]  # Train V2's own argument
            num_workers=most if least == most else (least, most),  # type: ignore[arg-type]  # Train V2's
            use_gpu=tune.gpu,
            label_selector=tune.workers.labels or None,
            elastic_resize_monitor_interval_s=RESIZE_S,
        ),
        torch_config=TorchConfig(backend="nccl" if tune.gpu else "gloo"),
        run_config=RunConfig(
            name=f"{recipe.name}-{recipe.fingerprint(STAGE)}",
            # Checkpoints are the store's own; Ray keeps only its notes on the run here.
            storage_path=f"{trial.store.path(trial.folder)}/{RAY_NOTES}",
            storage_filesystem=trial.store.filesystem,
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            worker_runtime_env={"env_vars": _network()},  # type: ignore[call-arg]  # Train V2's own argument
        ),
    )
    # An elastic group has the room that Ray keeps for the id of its run, and of a driver that was killed Ray
    # keeps it for three minutes. Under the same id it is the next driver's own at once.
    run_id = short_digest(trial.store.uri_of(trial.folder))
    object.__setattr__(trainer.train_run_context, "run_id", run_id)  # type: ignore[attr-defined]  # Train V2's
    return trainer


def _worker(config: dict[str, Any]) -> None:
    from t2ipal.tuning.session import run_tuning

    # Nothing is reported to Ray: each report would wait until the controller next looks, every two seconds,
    # which is longer than an epoch may take. Log and checkpoints are in the store.
    run_tuning(config["trial"])


def _network() -> dict[str, str]:
    """On a cluster of one machine behind its loopback address, keep gloo to that: it may take another."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    addresses = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    return {"GLOO_SOCKET_IFNAME": "lo"} if addresses == {"127.0.0.1"} else {}
