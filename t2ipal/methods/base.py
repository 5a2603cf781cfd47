"""What every recognizer offers to tuning, evaluation and the endpoint.

Shapes: B rows of a batch, C classes, P patches, L tokens, D embedding width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from t2ipal.method_settings import Schedule
from t2ipal.methods.randomness import StepRandom

RowKind = Literal["images", "captions"]


class Images(NamedTuple):
    """Frozen features of B images."""

    whole: Tensor  # [B, D]
    patches: Tensor  # [B, P, D]


class Captions(NamedTuple):
    """Frozen features of B captions."""

    whole: Tensor  # [B, D]
    tokens: Tensor  # [B, L, D]
    mask: Tensor  # [B, L] bool, False on padding


class Batch(NamedTuple):
    """Rows to learn from: captions alone, or images with their captions where there are any."""

    labels: Tensor  # [B, C] bool
    images: Images | None
    captions: Captions | None
    random: StepRandom
    known: Tensor | None = None  # [B, C] bool, False where nobody said whether the class is there


@dataclass(frozen=True)
class Terms:
    """What a method's loss is made of, by name; the phase weighs them."""

    # Scores [B, C] to be ranked within each row; those of images, "image_...", only where labels are known.
    ranked: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[str, Tensor] = field(default_factory=dict)  # losses [B] of single rows
    whole: dict[str, Tensor] = field(default_factory=dict)  # losses [] that depend on no row


class Rate(NamedTuple):
    """A learning rate: at its peak, and during the warm-up."""

    peak: float
    warmup: float


@dataclass(frozen=True)
class Phase:
    """One part of tuning: what learns, from which rows, and how."""

    name: str
    rows: RowKind
    schedule: Schedule
    rates: Mapping[str, Rate]  # by the module or parameter that learns; all others rest
    weights: Mapping[str, float] = field(default_factory=dict)  # of terms; 1 where nothing is said
    margin: float = 1.0
    class_ranking: float = 0.0  # weight of the ranking within classes, of the images' scores
    templates: int = 0  # copies per class of the plain template among the captions, with the others once each


class TrainingSet(Protocol):
    """What a method may look at before a phase begins."""

    def in_order(self, batch: int, device: torch.device) -> Iterable[tuple[Images, Tensor]]:
        """All images in order, with the labels [B, C] that are known."""

    def without_labels(self, unknown: Tensor) -> "TrainingSet":
        """The same set, where nobody says any more whether images hold the classes `unknown` [N, C]."""


class Method(nn.Module, ABC):
    """A recognizer of C classes. Its parameters are exactly what is tuned; the backbone is not among them."""

    def phases(self) -> Sequence[Phase]:
        """The parts of tuning, in order; none for a method that is not tuned."""
        return ()

    def begin(self, phase: Phase, data: TrainingSet) -> None:  # most methods take nothing
        """Set what a phase's first state takes from the training set."""

    def select(self, phase: Phase, data: TrainingSet) -> TrainingSet:
        """What a phase learns from, in evaluation mode, before `begin` and after every interruption: it may
        depend on what rests in that phase alone.
        """
        return data

    def forward(self, batch: Batch, phase: str) -> Terms:
        """What the loss of a phase is made of, in training mode."""
        raise ValueError(f"{type(self).__name__} has no phase {phase!r}")

    @abstractmethod
    def parts(self, images: Images) -> dict[str, Tensor]:
        """Scores [B, C] of every part of the answer, before they are fused; without gradients."""

    @abstractmethod
    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """One score [B, C] from the parts of `parts`."""

    @abstractmethod
    def heatmap(self, images: Images) -> Tensor:
        """How much each patch speaks for each class: cosine similarities [B, C, P]; without gradients."""

    @torch.no_grad()
    def scores(self, images: Images) -> Tensor:
        """Scores [B, C]; higher means more surely there. Comparable between images, per class."""
        return self.fuse(self.parts(images))

    @property
    def device(self) -> torch.device:
        """Where its parameters and buffers are; the CPU for a method without any."""
        held = chain(self.parameters(), self.buffers())
        return next((tensor.device for tensor in held), torch.device("cpu"))

    def export(self) -> dict[str, Tensor]:
        """What a recognizer needs of the tuned parameters, on the CPU; `build_method(..., exported=True)`
        takes it.
        """
        return tuned_parameters(self)

    def train(self, mode: bool = True) -> Self:
        """As torch's; here for its type."""
        super().train(mode)
        return self


def tuned_parameters(module: nn.Module) -> dict[str, Tensor]:
    """A copy, on the CPU, of all parameters."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in module.named_parameters()}
