"""Losses on scores.

Shapes: B rows, C classes; `labels` is a bool table [B, C].
"""

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-8  # the least probability of which a logarithm is taken


def ranking_loss(scores: Tensor, labels: Tensor, margin: float = 1.0, known: Tensor | None = None) -> Tensor:
    """Per row [B]: sum over classes i in the row and j not in it of max(0, margin - s_i + s_j).

    TaI-DPT (arXiv 2211.12739, authors' code): there the mean over rows is minimised. Where `known` [B, C] is
    False a class takes no part.
    """
    return _gaps(scores, *_parted(labels, known), margin)


def class_ranking_loss(
    scores: Tensor, labels: Tensor, margin: float = 1.0, known: Tensor | None = None
) -> Tensor:
    """Mean, over classes with both kinds of rows, of the mean over pairs of max(0, margin - s_ac + s_bc).

    a runs over the rows that hold class c, b over those that do not. Average precision ranks images within a
    class, which the loss above, ranking classes within an image, does not ask for.
    """
    held, absent = (part.T for part in _parted(labels, known))
    count = held.sum(dim=1) * absent.sum(dim=1)
    per_class = _gaps(scores.T, held, absent, margin) / count.clamp(min=1)
    return per_class.sum() / (count > 0).sum().clamp(min=1)


def asymmetric_loss(
    logits: Tensor,
    labels: Tensor,
    known: Tensor | None = None,
    gamma_negative: float = 2.0,
    gamma_positive: float = 1.0,
    clip: float = 0.05,
) -> Tensor:
    """Per row [B], over its classes: the sum of -(1 - p)^gamma+ log p where a class is there, and of
    -q^gamma- log(1 - q) where it is not, with p = sigmoid(logit) and q = max(p - clip, 0).

    Asymmetric loss (ASL, arXiv 2009.14119, eq. 4, 5 and 7); the powers are constants in the gradient, as in
    the authors' code. A pair that `known` [B, C] has as False costs nothing.
    """
    shifted = (logits.sigmoid() - clip).clamp(min=0)
    there = (1 - logits.sigmoid()).detach() ** gamma_positive * functional.logsigmoid(logits)
    # 1 - q underflows to 0 only without clipping, for a logit above 16.
    absent = shifted.detach() ** gamma_negative * torch.log((1 - shifted).clamp(min=EPSILON))
    losses = -torch.where(labels, there, absent)
    return (losses if known is None else losses * known).sum(dim=1)


def _gaps(scores: Tensor, held: Tensor, absent: Tensor, margin: float) -> Tensor:
    """Per row: sum over its held i and absent j of max(0, margin - s_i + s_j).

    Few are held: a table of all i and j would take gigabytes with a thousand classes.
    """
    row, i = held.nonzero(as_tuple=True)
    gaps = functional.relu(margin - scores[row, i, None] + scores[row]) * absent[row]  # [held ones, j]
    sums = gaps.sum(dim=1)
    return sums.new_zeros(len(scores)).index_add(0, row, sums)


def _parted(labels: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is surely there, and what is surely not."""
    return (labels, ~labels) if known is None else (labels & known, ~labels & known)
