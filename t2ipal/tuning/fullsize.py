"""Time and memory of a full-size backbone, with random weights: `python -m t2ipal.tuning.fullsize [RN50]`.

Features of a few images at 224 and 448 pixels and of their captions, then one tuning step over the 80 classes
of COCO's size, through the same classes that a run uses. Nothing is downloaded.
"""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image

from t2ipal.clip import Backbone, load_backbone
from t2ipal.methods import Captions, T2IPal
from t2ipal.recipe import BackboneRecipe, TuneRecipe
from t2ipal.tuning.data import TuningSet
from t2ipal.tuning.loop import tune

IMAGES = 8
CLASSES = 80


def main(model: str) -> None:
    """Print a line for each step."""
    with _measured(f"{model}: draw weights"):
        backbone = load_backbone(BackboneRecipe(model=model), random=True)
    with _measured(f"features of {IMAGES} images at 224 px"):
        data = _tuning_set(backbone)
    large = load_backbone(BackboneRecipe(model=model, image_size=448), random=True)
    with _measured("features of 1 image at 448 px"):
        grid = large.images([_noise(0)]).grid
    print(f"  patches: {data.patches.shape[1]} at 224 px, {grid[0]} x {grid[1]} at 448 px")
    del large
    recipe = TuneRecipe(epochs=1, batch=IMAGES, warmup_epochs=0)
    method = T2IPal(backbone, [f"class {i}" for i in range(CLASSES)], recipe, seed=0)
    tuned = sum(parameter.numel() for parameter in method.parameters())
    with _measured(f"one tuning step of {IMAGES} images, {CLASSES} classes, {tuned:,} tuned parameters"):
        log = tune(method, data, recipe, 0, Accelerator(cpu=True), lambda checkpoint: None)
    print(f"  loss {log[-1]['loss']:.3f}")


def _noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _tuning_set(backbone: Backbone) -> TuningSet:
    images = backbone.images([_noise(i) for i in range(IMAGES)])
    captions = backbone.sentences([f"a photo of class {i}" for i in range(IMAGES)])
    labels = torch.eye(CLASSES, dtype=torch.bool)[:IMAGES]
    halves = Captions(captions.whole.half(), captions.tokens.half(), captions.mask)
    return TuningSet(images.whole.half(), images.patches.half(), labels, torch.arange(IMAGES), halves)


@contextmanager
def _measured(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"{what}: {time.monotonic() - start:.1f} s, peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "RN50")
