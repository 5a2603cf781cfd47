"""A whole tuning run on a run's folder: read the features, go on from the last checkpoint, leave the tuned
parameters.

    tune/progress.json      which checkpoint is the last, and the log so far
    tune/checkpoint-*       two files in turn, so that the last one is never the one being written
    tune/tuned.safetensors  the result
    tune/result.json        the log and the thresholds, written last: tuning is done

Nothing here knows Ray: it runs in one process, or as every rank of a process group.
"""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import torch
from accelerate import Accelerator
from safetensors.torch import save

from t2ipal.clip import load_backbone
from t2ipal.clip.feature_tables import read_captions, read_images, read_labels
from t2ipal.errors import UserError
from t2ipal.evaluation.scoring import score
from t2ipal.evaluation.thresholds import best_f1_thresholds
from t2ipal.methods import Method, build_method
from t2ipal.methods.base import Captions
from t2ipal.recipe import Recipe
from t2ipal.run_files import PROGRESS, RESULT, TUNED
from t2ipal.store import Store
from t2ipal.tuning.checkpoint import Checkpoint, from_bytes, to_bytes, tuned_parameters
from t2ipal.tuning.data import TuningSet
from t2ipal.tuning.loop import tune
from t2ipal.tuning.source import Origin, origin, short_digest, source_shards
from t2ipal.vocabulary import Vocabulary


def run_tuning(recipe: Recipe, store: Store, on_epoch: Callable[[dict[str, float]], None]) -> None:
    """Tune to the end; `on_epoch` gets the log entry of each epoch, on every rank, when its checkpoint is
    safe.
    """
    accelerator = Accelerator(cpu=not recipe.tune.gpu)
    classes = Vocabulary.load(recipe.vocabulary).names
    backbone = load_backbone(recipe.backbone, accelerator.device)
    method = build_method(recipe.tune.method, backbone, classes, recipe)
    made_from = origin(recipe, store)
    data = load_tuning_set(recipe, store)

    def save_epoch(checkpoint: Checkpoint) -> None:
        if accelerator.is_main_process:
            _write_checkpoint(store, checkpoint, made_from)
        accelerator.wait_for_everyone()
        on_epoch(checkpoint.log[-1])

    start = _last_checkpoint(store, made_from)
    accelerator.wait_for_everyone()  # nobody writes before everybody has read
    log = tune(method, data, recipe.tune, recipe.seed, accelerator, save_epoch, start)
    if accelerator.is_main_process:
        counts = {"images": len(data), "ranks": accelerator.num_processes}
        _write_result(store, method, data, classes, {**made_from, **counts, "log": log})
    accelerator.wait_for_everyone()


def load_tuning_set(recipe: Recipe, store: Store) -> TuningSet:
    """Read the features of all synthetic images and captions, in the order of their names."""
    image_names, caption_names = source_shards(recipe, store)
    images = pa.concat_tables([store.shards("features").read(name) for name in image_names])
    captions = pa.concat_tables([store.shards("caption_features").read(name) for name in caption_names])
    if images.num_rows == 0:
        raise UserError(
            "there is no synthetic image to tune on", "check why the stage images kept none of its images"
        )
    whole, patches = read_images(images)
    place = {name: i for i, name in enumerate(captions["caption_id"].to_pylist())}
    return TuningSet(
        whole,
        patches,
        read_labels(images, len(Vocabulary.load(recipe.vocabulary))),
        torch.tensor([place[name] for name in _captions_of(images)]),
        Captions(*read_captions(captions)),
    )


def _captions_of(images: pa.Table) -> list[str]:
    """The caption of each image: an image_id is its caption_id, a dash and a number."""
    return [name.rpartition("-")[0] for name in images["image_id"].to_pylist()]


def _write_checkpoint(store: Store, checkpoint: Checkpoint, made_from: Origin) -> None:
    name = f"tune/checkpoint-{'ab'[checkpoint.epochs % 2]}.safetensors"
    store.write_bytes(name, to_bytes(checkpoint))
    store.write_json(PROGRESS, {**made_from, "checkpoint": name, "log": checkpoint.log})


def _last_checkpoint(store: Store, made_from: Origin) -> Checkpoint | None:
    if not store.exists(PROGRESS):
        return None
    progress = store.read_json(PROGRESS)
    if any(progress.get(key) != value for key, value in made_from.items()):
        return None
    return from_bytes(store.read_bytes(progress["checkpoint"]))


def _write_result(
    store: Store,
    method: Method,
    data: TuningSet,
    classes: tuple[str, ...],
    result: dict[str, Any],
) -> None:
    scores, _ = score(method, data.whole, data.patches)
    thresholds = dict(zip(classes, best_f1_thresholds(scores, data.labels.numpy()).tolist(), strict=True))
    parameters = save(tuned_parameters(method))
    store.write_bytes(TUNED, parameters)
    store.write_json(RESULT, result | {"thresholds": thresholds, "parameters": short_digest(parameters)})
