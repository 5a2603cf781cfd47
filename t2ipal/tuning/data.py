"""Frozen features to learn from, and the order in which they are seen.

Shapes: N images, M captions, P patches, L tokens, C classes, D embedding width. Features stay fp16, in memory
or in files that are mapped into it, until used: RN50 at 224 pixels needs 100 KB an image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from t2ipal.methods.base import Batch, Captions, Images, Phase
from t2ipal.methods.randomness import StepRandom
from t2ipal.seeds import derive_seed
from t2ipal.tuning.ragged import RaggedCaptions


@dataclass(frozen=True)
class ImageSet:
    """Images, what they hold, and the caption of each where there is one."""

    features: Images  # [N, D], [N, P, D]
    labels: Tensor  # [N, C] bool
    caption: Tensor | None = None  # [N] index into the captions; None for photos
    known: Tensor | None = None  # [N, C] bool, False where a label is not known; None: all are


@dataclass(frozen=True)
class CaptionSet:
    """M captions, and behind them the classes' template sentences, [T, C] of them row by row.

    The first template is the plain one.
    """

    features: Captions | RaggedCaptions
    labels: Tensor  # [M + T C, C] bool
    count: int  # M

    def rows(self, copies: int) -> Tensor:
        """Every caption once, the plain template of each class `copies` times and its others once; without
        templates for 0 copies.
        """
        rows = torch.arange(self.count)
        if copies == 0:
            return rows
        classes = self.labels.shape[1]
        plain = torch.arange(self.count, self.count + classes)
        others = torch.arange(self.count + classes, len(self.labels))
        return torch.cat([rows, plain.repeat(copies), others])


@dataclass(frozen=True)
class TuningSet:
    """What a method is tuned on."""

    images: ImageSet | None
    captions: CaptionSet | None
    held: object = field(default=None, repr=False)  # what keeps the files of the features in their place

    def __len__(self) -> int:
        """Number of images; of captions where there are no images."""
        return self._captions.count if self.images is None else len(self.images.labels)

    def rows(self, phase: Phase) -> Tensor:
        """Indices of all rows of a phase, in order."""
        if phase.rows == "captions":
            return self._captions.rows(phase.templates)
        return torch.arange(len(self._images.labels))

    def batch(self, phase: Phase, rows: Tensor, random: StepRandom, device: torch.device) -> Batch:
        """Some rows, float32, on the device."""
        if phase.rows == "captions":
            labels = self._captions.labels[rows].to(device)
            return Batch(labels, None, _captions(self._captions, rows, device), random)
        images = self._images
        return Batch(
            images.labels[rows].to(device),
            _images(images, rows, device),
            None if images.caption is None else _captions(self._captions, images.caption[rows], device),
            random,
            None if images.known is None else images.known[rows].to(device),
        )

    def in_order(self, batch: int, device: torch.device) -> Iterator[tuple[Images, Tensor]]:
        """All images in order, with the labels that are known."""
        images = self._images
        labels = images.labels if images.known is None else images.labels & images.known
        for rows in torch.arange(len(labels)).split(batch):
            yield _images(images, rows, device), labels[rows].to(device)

    def without_labels(self, unknown: Tensor) -> "TuningSet":
        """The same set, where nobody says any more whether images hold the classes `unknown` [N, C]."""
        known = ~unknown if self._images.known is None else self._images.known & ~unknown
        return replace(self, images=replace(self._images, known=known))

    @property
    def _images(self) -> ImageSet:
        if self.images is None:
            raise ValueError("there are no images to tune on")
        return self.images

    @property
    def _captions(self) -> CaptionSet:
        if self.captions is None:
            raise ValueError("there are no captions to tune on")
        return self.captions


def _images(images: ImageSet, rows: Tensor, device: torch.device) -> Images:
    whole, patches = (table[rows].to(device).float() for table in images.features)
    return Images(whole, patches)


def _captions(captions: CaptionSet, rows: Tensor, device: torch.device) -> Captions:
    whole, tokens, mask = (table[rows].to(device) for table in captions.features)
    return Captions(whole.float(), tokens.float(), mask)


@dataclass(frozen=True)
class Step:
    """One rank's part of a step: its rows, and which of them count (the rest only make the parts equally
    long).
    """

    rows: Tensor  # [B / ranks, rounded up] positions among the rows of the phase
    places: Tensor  # the same shape: where these rows are in the whole batch
    counts: Tensor  # bool, the same shape
    total: int  # B, rows of the whole batch


def epoch_steps(count: int, batch: int, epoch: int, seed: int, rank: int, ranks: int) -> list[Step]:
    """The steps of an epoch over `count` rows: the same batches for any number of ranks, from the seed
    alone.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "order", epoch))
    order = torch.randperm(count, generator=generator)
    return [_part(rows, rank, ranks) for rows in order.split(batch)]


def _part(rows: Tensor, rank: int, ranks: int) -> Step:
    size = -(-len(rows) // ranks)
    places = torch.arange(rank * size, (rank + 1) * size)
    inside = places.clamp(max=len(rows) - 1)
    return Step(rows[inside], inside, places < len(rows), len(rows))
