"""The losses of every method that is tuned, on a small drawn set, as they are meant to be.

    uv run python -m tests.tuning.golden_losses             # writes tests/tuning/golden/*.json anew
    uv run python -m tests.tuning.golden_losses pvp         # one of them

Write them anew only after a change that is meant to change what is learned, and commit them with it. The
settings are the offline recipe's, with fewer epochs and smaller batches; scenes and captions come from the
drawn world's generator, and their features from its CLIP.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from jobs.pipeline import DEFAULT_RECIPE
from t2ipal.clip import Backbone, load_backbone
from t2ipal.method_names import LIMITED, TUNED, parse_name
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods import Captions, Images, build_method
from t2ipal.picturebook.scenes import Kind, Scene, scenes
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.loop import tune
from t2ipal.vocabulary import Vocabulary

FOLDER = Path(__file__).parent / "golden"
METHODS = (*TUNED, "supervised", *LIMITED)
SCENES, EPOCHS, PRETRAINING, BATCH, SEED = 60, 4, 3, 16, 0

# Relative, of any epoch's loss. Another number of threads, processor or build of torch adds in another order.
# With 1 and 2 threads and the instructions of SSE4.1, AVX2 and AVX-512, losses differed by up to 3e-6; but by
# 2e-3 behind PVP's pretraining, in which AdamW takes steps of equal size for every pixel, those with hardly a
# gradient included.
TOLERANCE = 1e-4
TOLERANCES = {"pvp": 5e-3, "t2i_pal_pvp": 5e-3}

Losses = dict[str, list[float]]  # by phase, one of each epoch


def main(names: Sequence[str]) -> None:
    """Write the files of some methods, of all where none is named."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or METHODS:
        found = losses(name)
        content = {phase: [round(loss, 6) for loss in each] for phase, each in found.items()}
        golden_file(name).write_text(json.dumps(content, indent=2) + "\n")
        print(f"{name}: " + ", ".join(f"{phase} {each[-1]:.4f}" for phase, each in found.items()))


def golden_file(name: str) -> Path:
    """Where the losses of a method lie."""
    return FOLDER / f"{name}.json"


def golden(name: str) -> Losses:
    """The losses as they are meant to be."""
    content: Losses = json.loads(golden_file(name).read_text())
    return content


def losses(name: str, **changes: Any) -> Losses:
    """Tune a method; `changes` are of keys of its own section of settings."""
    method = build_method(name, backbone(), classes(), settings(name, **changes), SEED)
    log = tune(method, tuning_set(name), SEED, Accelerator(cpu=True), lambda checkpoint: None)
    return {
        phase: [entry["loss"] for entry in entries]
        for phase, entries in groupby(log, lambda entry: str(entry["phase"]))
    }


def settings(name: str, **changes: Any) -> MethodsSettings:
    """The offline recipe's, of few and small steps."""
    methods = recipe().methods.model_dump()
    for section in methods.values():
        for schedule in (section.get("schedule"), section.get("pretrain", {}).get("schedule")):
            if schedule:
                schedule |= {"epochs": EPOCHS, "batch": BATCH}
    methods["pvp"]["pretrain"]["schedule"]["epochs"] = PRETRAINING
    methods["t2i_pal" if name == "supervised" else name] |= changes
    return MethodsSettings.model_validate(methods)


@cache
def recipe() -> Recipe:
    """The offline default."""
    return load_recipe(DEFAULT_RECIPE)


def classes() -> tuple[str, ...]:
    """Names of the drawn world's classes."""
    return Vocabulary.load(recipe().vocabulary).names


@cache
def backbone() -> Backbone:
    """The drawn world's CLIP."""
    return load_backbone(recipe().backbone)


def tuning_set(name: str) -> TuningSet:
    """What a method learns from: plain scenes with their captions, or crowded ones without."""
    return _photos() if parse_name(name).source == "labelled" else _painted()


@cache
def _painted() -> TuningSet:
    drawn = _scenes("web")
    found = backbone().sentences([scene.full_caption for scene in drawn])
    captions = Captions(found.whole.half(), found.tokens.half(), found.mask)
    images, labels = _images(drawn), _labels(drawn)
    return TuningSet(
        ImageSet(images, labels, torch.arange(len(drawn))), CaptionSet(captions, labels, len(drawn))
    )


@cache
def _photos() -> TuningSet:
    drawn = _scenes("photo")
    return TuningSet(ImageSet(_images(drawn), _labels(drawn)), None)


def _scenes(kind: Kind) -> list[Scene]:
    return list(scenes(kind, "train", SCENES))


def _images(drawn: Sequence[Scene]) -> Images:
    found = backbone().images([scene.image for scene in drawn])
    return Images(found.whole.half(), found.patches.half())


def _labels(drawn: Sequence[Scene]) -> Tensor:
    labels = torch.zeros(len(drawn), len(classes()), dtype=torch.bool)
    for row, scene in zip(labels, drawn, strict=True):
        row[list(scene.labels)] = True
    return labels


if __name__ == "__main__":
    main(sys.argv[1:])
