"""Frozen features of the synthetic images and their captions in memory, and the order in which they are seen.

Shapes: N images, M captions, P patches, L tokens, C classes, D embedding width. Features stay fp16 until
used: RN50 at 224 pixels needs 100 KB an image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from t2ipal.methods.base import Captions, Images
from t2ipal.seeds import derive_seed


@dataclass(frozen=True)
class TuningSet:
    """Triples of image, caption and labels."""

    whole: Tensor  # [N, D]
    patches: Tensor  # [N, P, D]
    labels: Tensor  # [N, C] bool
    caption: Tensor  # [N] index of the image's caption
    captions: Captions  # of M captions

    def __len__(self) -> int:
        return len(self.whole)

    def images(self, rows: Tensor, device: torch.device) -> Images:
        """Features of some images, float32, on the device."""
        return Images(self.whole[rows].to(device).float(), self.patches[rows].to(device).float())

    def captions_of(self, rows: Tensor, device: torch.device) -> Captions:
        """Features of the captions of some images, float32, on the device."""
        at = self.caption[rows]
        whole, tokens, mask = (table[at].to(device) for table in self.captions)
        return Captions(whole.float(), tokens.float(), mask)


@dataclass(frozen=True)
class Step:
    """One rank's part of a step: its rows, and which of them count (the rest only make the parts equally
    long).
    """

    rows: Tensor  # [B / ranks, rounded up]
    counts: Tensor  # bool, same shape
    total: int  # B, rows of the whole batch


def epoch_steps(count: int, batch: int, epoch: int, seed: int, rank: int, ranks: int) -> list[Step]:
    """The steps of an epoch over `count` rows: the same batches for any number of ranks, from the seed
    alone.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "order", epoch))
    order = torch.randperm(count, generator=generator)
    return [_part(rows, rank, ranks) for rows in torch.tensor_split(order, list(range(batch, count, batch)))]


def _part(rows: Tensor, rank: int, ranks: int) -> Step:
    size = -(-len(rows) // ranks)
    places = torch.arange(rank * size, (rank + 1) * size)
    return Step(rows[places.clamp(max=len(rows) - 1)], places < len(rows), len(rows))
