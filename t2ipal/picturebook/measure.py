"""How good the picture world's models are: `python -m t2ipal.picturebook.measure`.

Prints the table of gates and writes it beside the weights, with a sheet of painted samples. A model that
misses its gate is reported so; nothing replaces it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from t2ipal.captions.accept import first_accepted
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.clip import load_backbone
from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.images.painter import Painter, Painting
from t2ipal.images.sheet import contact_sheet
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.method_settings import ZeroShotSettings
from t2ipal.methods.base import Images
from t2ipal.methods.zero_shot import ZeroShot
from t2ipal.picturebook import judge, vocabulary, weights
from t2ipal.picturebook.classes import CLASSES, NAMES
from t2ipal.picturebook.drawn import drawn
from t2ipal.picturebook.scenes import Scene, scenes
from t2ipal.picturebook.wording import request_and_caption
from t2ipal.picturebook.writing import write
from t2ipal.recipe import BackboneRecipe, load_recipe
from t2ipal.seeds import derive_seed
from t2ipal.vocabulary import Vocabulary

PHOTOS = 1000
CAPTIONS = 256
SHOWN = 48  # paintings on the sheet
SURE = 0.5  # probability from which the judge counts as having found a class
RECIPE = Path(__file__).parents[2] / "jobs" / "recipes" / "offline.yaml"


@dataclass(frozen=True)
class Gate:
    """One measured figure, in percent, and the range in which it ought to be."""

    what: str
    value: float
    least: float
    most: float

    @property
    def met(self) -> bool:
        """Whether the figure is in its range."""
        return self.least <= self.value <= self.most

    def line(self) -> str:
        """A row of the table."""
        verdict = "met" if self.met else "MISSED"
        return f"{self.what:62} {self.value:6.1f}   {self.least:3.0f} to {self.most:3.0f}   {verdict}"


def zero_shot_gate(backbone: BackboneRecipe, settings: ZeroShotSettings) -> Gate:
    """mAP of the CLIP on photo scenes of the development split."""
    model = load_backbone(backbone)
    method = ZeroShot(model, NAMES, settings, "zero_shot")
    photos = list(scenes("photo", "dev", PHOTOS))
    parts = [photos[start : start + 100] for start in range(0, PHOTOS, 100)]
    features = [model.images([each.image for each in part]) for part in parts]
    scores = torch.cat([method.scores(Images(each.whole, each.patches)) for each in features])
    value = mean_average_precision(scores.numpy(), _multi_hot(photos))
    return Gate("CLIP zero-shot, mAP on photo development scenes", value, 50, 75)


def judge_gate(model: torch.nn.Module, work: Path) -> Gate:
    """mAP of the judge on photo scenes of the development split: can the world be learned at all?"""
    photos = drawn("photo", "dev", PHOTOS, work)
    scores = judge.judge(model, torch.from_numpy(np.array(photos.images)))
    value = mean_average_precision(scores.numpy(), photos.labels.astype(bool))
    return Gate("judge (supervised CNN), mAP on photo development scenes", value, 85, 100)


def writer_gate(captions: CaptionsRecipe) -> Gate:
    """Share of captions, one try each, that name exactly what was asked."""
    rng = np.random.default_rng(1)
    asked = [rng.permutation(len(CLASSES))[: rng.integers(1, 4)].tolist() for _ in range(CAPTIONS)]
    answers = write(
        weights.resolve(captions.model), captions, [[NAMES[i] for i in labels] for labels in asked]
    )
    known = Vocabulary.load("picturebook")
    exact = [first_accepted([answer], labels, known) for answer, labels in zip(answers, asked, strict=True)]
    share = 100 * sum(each is not None for each in exact) / CAPTIONS
    return Gate("writer: captions that name exactly what was asked, %", share, 85, 100)


def painter_gates(model: torch.nn.Module, images: ImagesRecipe, sheet: Path) -> list[Gate]:
    """What the judge finds in painted images, against what their captions name. Also draws the sheet."""
    rng = np.random.default_rng(2)
    captions = [request_and_caption(rng) for _ in range(CAPTIONS)]
    painter = Painter(images)
    seeds = [derive_seed("measure", row) for row in range(CAPTIONS)]
    paintings = [_painted(each) for each in painter.paint([text for _, _, text in captions], seeds)]
    found = judge.judge(model, torch.from_numpy(np.stack([np.asarray(each) for each in paintings]))) > SURE
    named = torch.zeros(CAPTIONS, len(CLASSES), dtype=torch.bool)
    for row, (labels, _, _) in enumerate(captions):
        named[row, list(labels)] = True
    texts = [text for _, _, text in captions]
    contact_sheet(paintings[:SHOWN], texts[:SHOWN], across=8).save(sheet, optimize=True)
    return [
        Gate("painter: classes named that the judge finds, %", _share(found & named, named), 70, 100),
        Gate("painter: classes the judge finds that were not named, %", _share(found & ~named, found), 0, 15),
    ]


def _share(part: torch.Tensor, whole: torch.Tensor) -> float:
    return 100 * float(part.sum()) / max(1.0, float(whole.sum()))


def _multi_hot(rows: Sequence[Scene]) -> NDArray[np.bool_]:
    table = np.zeros((len(rows), len(vocabulary())), bool)
    for row, each in enumerate(rows):
        table[row, list(each.labels)] = True
    return table


def _painted(painting: Painting) -> Image.Image:
    if painting.image is None:
        raise ValueError(painting.failure)
    return painting.image


def main() -> None:
    """Measure every gate with the settings of the offline recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("runs/picturebook"), help="drawn scenes and the judge"
    )
    work = parser.parse_args().work
    recipe = load_recipe(RECIPE)
    if recipe.captions is None:
        raise ValueError(f"{RECIPE} asks no language model for captions")
    judging = judge.train(work)
    gates = [
        judge_gate(judging, work),
        zero_shot_gate(recipe.backbone, recipe.methods.zero_shot),
        *painter_gates(judging, recipe.images, weights.FOLDER / "samples.png"),
        writer_gate(recipe.captions),
    ]
    print("\n".join(gate.line() for gate in gates))
    report = [asdict(gate) | {"met": gate.met} for gate in gates]
    (weights.FOLDER / "gates.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
