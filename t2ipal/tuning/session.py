"""A whole tuning run: read the features, go on from the last checkpoint, leave the tuned parameters.

Nothing here knows Ray: it runs in one process, or as every rank of a process group.
"""

from collections.abc import Callable
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import save

from t2ipal.clip import Backbone, load_backbone
from t2ipal.evaluation.fitted import fit
from t2ipal.methods import Method
from t2ipal.store import json_bytes
from t2ipal.tuning.checkpoint import Checkpoint, from_bytes, to_bytes
from t2ipal.tuning.data import TuningSet
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.loop import tune
from t2ipal.tuning.source import short_digest
from t2ipal.tuning.times import EpochTimes, Times
from t2ipal.tuning.trial import RESULT, TUNED, Origin, Trial

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}  # as Accelerate names them


def run_tuning(trial: Trial, on_epoch: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Tune to the end; `on_epoch` gets the log entry of each epoch, on every rank, when its checkpoint is
    safe.
    """
    recipe, times = trial.recipe, Times()
    AcceleratorState._reset_state()  # else the first trial of a process decides on the precision of all
    accelerator = Accelerator(cpu=not recipe.tune.gpu, mixed_precision=PRECISIONS[recipe.tune.precision])
    with times.spent_on("loading"):
        backbone = load_backbone(recipe.backbone, accelerator.device)
        method = trial.build(backbone)
        made_from = trial.origin()
        data = _data(trial, backbone, method)
        start = _last_checkpoint(trial, made_from)
        accelerator.wait_for_everyone()  # nobody writes before everybody has read

    def save_epoch(checkpoint: Checkpoint) -> None:
        with times.spent_on("checkpoints"), epochs.between(checkpoint.log[-1]["phase"]):
            if accelerator.is_main_process:
                _write_checkpoint(trial, checkpoint, made_from)
            accelerator.wait_for_everyone()
            if on_epoch is not None:
                on_epoch(checkpoint.log[-1])

    epochs = EpochTimes()
    with times.spent_on("steps"):
        log = tune(method, data, trial.seed, accelerator, save_epoch, start, recipe.tune.accumulate)
    if accelerator.is_main_process:
        counts = {"rows": len(data), "ranks": accelerator.num_processes}
        with times.spent_on("thresholds"):
            fitted = _fitted(trial, method)
        rows = {phase.name: len(data.rows(phase)) for phase in method.phases()}
        work = {
            phase: {"amount": count * rows[phase], "seconds": epochs.seconds[phase]}
            for phase, count in epochs.epochs.items()
        }
        trial.store.write_json(trial.times, {"parts": times.seconds, "work": work})
        _write_result(trial, method, {**counts, "log": log, **fitted}, made_from)
    accelerator.wait_for_everyone()


def _data(trial: Trial, backbone: Backbone, method: Method) -> TuningSet:
    phases = method.phases()
    return load_tuning_set(
        trial.recipe,
        trial.source,
        trial.table,
        backbone,
        with_templates=any(phase.templates for phase in phases),
        with_images=any(phase.rows == "images" for phase in phases),
        known=trial.known,
    )


def _write_checkpoint(trial: Trial, checkpoint: Checkpoint, made_from: Origin) -> None:
    name = trial.checkpoint(checkpoint.epochs)
    trial.store.write_bytes(name, to_bytes(checkpoint))
    trial.store.write_json(trial.progress, {**made_from, "checkpoint": name, "log": checkpoint.log})


def _last_checkpoint(trial: Trial, made_from: Origin) -> Checkpoint | None:
    if not trial.store.exists(trial.progress):
        return None
    progress = trial.store.read_json(trial.progress)
    if any(progress.get(key) != value for key, value in made_from.items()):
        return None
    return from_bytes(trial.store.read_bytes(progress["checkpoint"]))


def _fitted(trial: Trial, method: Method) -> dict[str, Any]:
    """The thresholds and what else follows from the tuned parameters and the images kept from tuning."""
    method.eval()
    return fit(trial.recipe, trial.source, method, trial.table, known=trial.known).to_json()


def _write_result(trial: Trial, method: Method, result: dict[str, Any], made_from: Origin) -> None:
    parameters = save(method.export())
    result = result | {"parameters": short_digest(parameters)}
    trial.results.write([(TUNED, parameters), (RESULT, json_bytes(result))], made_from)
