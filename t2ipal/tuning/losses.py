"""Ranking losses on scores.

Shapes: B rows, C classes; `labels` is a bool table [B, C].
"""

from torch import Tensor
from torch.nn import functional


def ranking_loss(scores: Tensor, labels: Tensor, margin: float = 1.0, known: Tensor | None = None) -> Tensor:
    """Per row [B]: sum over classes i in the row and j not in it of max(0, margin - s_i + s_j).

    TaI-DPT (arXiv 2211.12739, authors' code): there the mean over rows is minimised. Where `known` [B, C] is
    False a class takes no part.
    """
    gaps = functional.relu(margin - scores[:, :, None] + scores[:, None, :])  # [B, i, j]
    held, absent = _parted(labels, known)
    pairs = held[:, :, None] & absent[:, None, :]
    return (gaps * pairs).sum(dim=(1, 2))


def class_ranking_loss(
    scores: Tensor, labels: Tensor, margin: float = 1.0, known: Tensor | None = None
) -> Tensor:
    """Mean, over classes with both kinds of rows, of the mean over pairs of max(0, margin - s_ac + s_bc).

    a runs over the rows that hold class c, b over those that do not. Average precision ranks images within a
    class, which the loss above, ranking classes within an image, does not ask for.
    """
    by_class = scores.T
    held, absent = (part.T for part in _parted(labels, known))
    gaps = functional.relu(margin - by_class[:, :, None] + by_class[:, None, :])  # [C, a, b]
    pairs = held[:, :, None] & absent[:, None, :]
    count = pairs.sum(dim=(1, 2))
    per_class = (gaps * pairs).sum(dim=(1, 2)) / count.clamp(min=1)
    return per_class.sum() / (count > 0).sum().clamp(min=1)


def _parted(labels: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is surely there, and what is surely not."""
    return (labels, ~labels) if known is None else (labels & known, ~labels & known)
