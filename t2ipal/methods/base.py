"""What every recognizer offers to tuning, evaluation and the endpoint."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Images(NamedTuple):
    """Frozen features of B images."""

    whole: Tensor  # [B, D]
    patches: Tensor  # [B, P, D]


class Captions(NamedTuple):
    """Frozen features of B captions."""

    whole: Tensor  # [B, D]
    tokens: Tensor  # [B, L, D]
    mask: Tensor  # [B, L] bool, False on padding


class Method(nn.Module, ABC):
    """A recognizer of C classes. Its parameters are exactly what is tuned; the backbone is not among them.

    `forward` gives the scores that a loss acts on, one [B, C] table per part, in training shape; `scores` and
    `heatmap` are for use, in evaluation mode, without gradients.
    """

    @abstractmethod
    def initialise(self, batches: Iterable[tuple[Images, Tensor]]) -> None:
        """Set what the first state takes from the training set: features and labels [B, C], all of them,
        in order.
        """

    @abstractmethod
    def forward(self, images: Images, captions: Captions | None = None) -> dict[str, Tensor]:
        """Scores [B, C] of every part that is trained: "image_..." of images, "caption_..." of captions."""

    @abstractmethod
    def parts(self, images: Images) -> dict[str, Tensor]:
        """Scores [B, C] of every part of the answer, before they are fused."""

    @abstractmethod
    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """One score [B, C] from the parts of `parts`."""

    @abstractmethod
    def heatmap(self, images: Images) -> Tensor:
        """How much each patch speaks for each class: cosine similarities [B, C, P]."""

    @torch.no_grad()
    def scores(self, images: Images) -> Tensor:
        """Scores [B, C]; higher means more surely there. Comparable between images, per class."""
        return self.fuse(self.parts(images))
