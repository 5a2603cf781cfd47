"""The judge: a supervised CNN that says what is in a picture. It measures the world and its painter.

It learns from labelled scenes, which no method may; it is no part of the system and is not shipped.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2ipal.picturebook.classes import CLASSES
from t2ipal.picturebook.drawn import drawn
from t2ipal.picturebook.fit import Loss, Schedule, device, fit

PHOTOS, WEB = 30_000, 100_000
SCHEDULE = Schedule(steps=2000, batch=64, lr=2e-3, weight_decay=0.05, warmup=100, save_every=500)


def network() -> nn.Sequential:
    """[B, 3, 32, 32] from -1 to 1 to class logits [B, C]."""

    def stage(into: int, out: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for width in (into, out):
            layers += [
                nn.Conv2d(width, out, 3, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
        return layers

    return nn.Sequential(
        *stage(3, 32),
        nn.MaxPool2d(2),
        *stage(32, 96),
        nn.MaxPool2d(2),
        *stage(96, 192),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(192, len(CLASSES)),
    )


def train(work: Path) -> nn.Module:
    """The judge, trained on photo and web scenes of the training split, or read from its checkpoint."""
    torch.manual_seed(0)
    model = network().to(device())
    fit("judge", model, _loss(model, work), SCHEDULE, work)
    return model.eval()


@torch.no_grad()
def judge(model: nn.Module, images: Tensor) -> Tensor:
    """Probabilities [N, C] for [N, 32, 32, 3] uint8 images."""
    return torch.cat([torch.sigmoid(model(_pixels(part)).float()).cpu() for part in images.split(500)])


def _pixels(images: Tensor) -> Tensor:
    pixels = images.permute(0, 3, 1, 2).to(device(), torch.float32) / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _loss(model: nn.Module, work: Path) -> Loss:
    sets = [drawn("photo", "train", PHOTOS, work), drawn("web", "train", WEB, work)]
    half = SCHEDULE.batch // 2

    def loss(generator: torch.Generator, done: float) -> Tensor:
        images, labels = [], []
        for each in sets:
            rows = torch.randint(len(each), (half,), generator=generator).numpy()
            images.append(each.images[rows])
            labels.append(each.labels[rows])
        pixels = _pixels(torch.from_numpy(np.concatenate(images)))
        straight = torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5  # drawn on the CPU
        pixels = torch.where(straight.to(pixels.device), pixels, pixels.flip(3))
        return F.binary_cross_entropy_with_logits(
            model(pixels).float(), torch.from_numpy(np.concatenate(labels)).to(device())
        )

    return loss
