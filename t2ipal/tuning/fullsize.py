"""Time and memory of a full-size backbone, with random weights: `python -m t2ipal.tuning.fullsize [RN50]`.

Features of a few images at the model's resolution and at twice that, and of their captions, then one tuning
step of each phase of each method, through the same classes that a run uses. Nothing is downloaded. Shapes,
types, and what learns and what rests are checked on the way.
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
from t2ipal.methods.base import tuned_parameters
from t2ipal.recipe import BackboneRecipe
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.loop import tune

IMAGES = 8
CLASSES = 80  # of COCO


def main() -> None:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="RN50", help="a model of open_clip; default: %(default)s")
    parser.add_argument("--methods", nargs="+", default=list(TUNED), choices=TUNED)
    parser.add_argument("--classes", type=int, default=CLASSES, help="default: %(default)s")
    arguments = parser.parse_args()
    model = arguments.model
    with _measured(f"{model}: draw weights"):
        backbone = load_backbone(BackboneRecipe(model=model), random=True)
    side, _ = backbone.input_size
    with _measured(f"features of {IMAGES} images at {side} px"):
        data = tuning_set(backbone, arguments.classes)
    with _measured(f"features of 1 image at {2 * side} px"):
        large = backbone.pixels(torch.zeros(1, 3, 2 * side, 2 * side))
    _check(large.patches.shape == (1, large.grid[0] * large.grid[1], backbone.embedding), "patches at twice")
    print(f"  {large.grid[0]} x {large.grid[1]} patches of {backbone.embedding} numbers")
    for name in arguments.methods:
        one_step(name, backbone, data, arguments.classes)


def one_step(name: str, backbone: Backbone, data: TuningSet, classes: int) -> None:
    """One step of each phase of a method, and its line."""
    method = build_method(name, backbone, [f"class {i}" for i in range(classes)], one_step_settings(), 0)
    count = sum(parameter.numel() for parameter in method.parameters())
    states = [tuned_parameters(method)]
    with _measured(f"{name}: a step of {IMAGES} rows, {classes} classes, {count:,} tuned parameters"):
        log = tune(
            method,
            data,
            0,
            Accelerator(cpu=True),
            lambda checkpoint: states.append(checkpoint.parameters),
        )
    print("  loss " + ", ".join(f"{entry['phase']} {entry['loss']:.3f}" for entry in log))
    _check(all(parameter.grad is None for parameter in backbone.parameters()), "the backbone's gradients")
    for phase, before, after in zip(method.phases(), states, states[1:], strict=False):
        learns = tuple(phase.rates)
        for each, value in after.items():
            rests = not each.startswith(learns)
            _check(not rests or bool(torch.equal(before[each], value)), f"{each} in the phase {phase.name}")
    scores = method.eval().scores(Images(*(table.float() for table in data_images(data))))
    _check(scores.shape == (IMAGES, classes) and bool(scores.isfinite().all()), f"the scores of {name}")


def data_images(data: TuningSet) -> Images:
    """The features of its images."""
    if data.images is None:
        raise ValueError("the set has no images")
    return data.images.features


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"{what}: not as they should be")


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


def tuning_set(backbone: Backbone, classes: int = CLASSES) -> TuningSet:
    """Features of images of noise and of captions, with a class each."""
    images = backbone.images([_noise(i) for i in range(IMAGES)])
    captions = backbone.sentences([f"a photo of class {i}" for i in range(IMAGES)])
    labels = torch.eye(classes, dtype=torch.bool).repeat(IMAGES, 1)[:IMAGES]
    for table in (images.whole, images.patches, captions.whole, captions.tokens):
        _check(table.dtype == torch.float32 and table.shape[-1] == backbone.embedding, "features")
        _check(bool(torch.allclose(table.norm(dim=-1), torch.ones(()), atol=1e-4)), "norms of features")
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
