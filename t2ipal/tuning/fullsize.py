"""Time and memory of a full-size backbone, with random weights: `python -m t2ipal.tuning.fullsize [RN50]`.

Features of a few images at 224 and 448 pixels and of their captions, then one tuning step of each method over
the 80 classes of COCO's size, through the same classes that a run uses. Nothing is downloaded.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image

from t2ipal.clip import Backbone, load_backbone
from t2ipal.method_names import TUNED
from t2ipal.method_settings import (
    MethodsSettings,
    PretrainSettings,
    PVPSettings,
    Schedule,
    T2IPALSettings,
    TaIDPTSettings,
)
from t2ipal.methods import Captions, Images, build_method
from t2ipal.recipe import BackboneRecipe
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.loop import tune

IMAGES = 8
CLASSES = 80


def main() -> None:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="RN50", help="a model of open_clip; default: %(default)s")
    parser.add_argument("--methods", nargs="+", default=list(TUNED), choices=TUNED)
    arguments = parser.parse_args()
    model = arguments.model
    with _measured(f"{model}: draw weights"):
        backbone = load_backbone(BackboneRecipe(model=model), random=True)
    side, _ = backbone.input_size
    with _measured(f"features of {IMAGES} images at {side} px"):
        data = tuning_set(backbone)
    with _measured(f"features of 1 image at {2 * side} px"):
        grid = backbone.pixels(torch.zeros(1, 3, 2 * side, 2 * side)).grid
    print(f"  at {2 * side} px: {grid[0]} x {grid[1]} patches")
    for name in arguments.methods:
        one_step(name, backbone, data)


def one_step(name: str, backbone: Backbone, data: TuningSet) -> None:
    """One step of each phase of a method, and its line."""
    method = build_method(name, backbone, [f"class {i}" for i in range(CLASSES)], one_step_settings(), 0)
    count = sum(parameter.numel() for parameter in method.parameters())
    with _measured(f"{name}: a step of {IMAGES} rows, {CLASSES} classes, {count:,} tuned parameters"):
        log = tune(method, data, 0, Accelerator(cpu=True), lambda checkpoint: None)
    print("  loss " + ", ".join(f"{entry['phase']} {entry['loss']:.3f}" for entry in log))


def one_step_settings() -> MethodsSettings:
    """The methods' defaults but for one epoch of one step in each phase."""
    schedule = Schedule(epochs=1, batch=IMAGES, warmup_epochs=0)
    return MethodsSettings(
        tai_dpt=TaIDPTSettings(templates=0, schedule=schedule),
        t2i_pal=T2IPALSettings(schedule=schedule),
        pvp=PVPSettings(
            templates=0, schedule=schedule, pretrain=PretrainSettings(templates=0, schedule=schedule)
        ),
    )


def tuning_set(backbone: Backbone) -> TuningSet:
    """Features of images of noise and of captions, with a class each."""
    images = backbone.images([_noise(i) for i in range(IMAGES)])
    captions = backbone.sentences([f"a photo of class {i}" for i in range(IMAGES)])
    labels = torch.eye(CLASSES, dtype=torch.bool)[:IMAGES]
    halves = Captions(captions.whole.half(), captions.tokens.half(), captions.mask)
    return TuningSet(
        ImageSet(Images(images.whole.half(), images.patches.half()), labels, torch.arange(IMAGES)),
        CaptionSet(halves, labels, IMAGES),
    )


def _noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@contextmanager
def _measured(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"{what}: {time.monotonic() - start:.1f} s, peak memory {peak:,.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
