"""The class-wise heatmap over an image's patches or a sentence's tokens, and what it aggregates.

Shapes: B rows, P patches or tokens, C classes, D embedding width. All features are L2-normalised.
"""

import torch
from torch import Tensor


def similarities(places: Tensor, classes: Tensor) -> Tensor:
    """Cosine similarity [B, C, P] of every place [B, P, D] to every class [C, D]."""
    return torch.einsum("bpd,cd->bcp", places, classes)


def attention(similarity: Tensor, sharpness: float, mask: Tensor | None = None) -> Tensor:
    """M_cj = softmax_j(k cos(x_j, L_c)) [B, C, P] (TaI-DPT, arXiv 2211.12739, authors' code).

    A `sharpness` k of 0 weighs all places alike. `mask` [B, P] is False on places to leave out.
    """
    logits = sharpness * similarity
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None], float("-inf"))
    return logits.softmax(dim=-1)


def aggregate(weights: Tensor, similarity: Tensor) -> Tensor:
    """Local similarity [B, C]: sum_j M_cj cos(x_j, L_c)."""
    return (weights * similarity).sum(dim=-1)


def pool(weights: Tensor, places: Tensor) -> Tensor:
    """Class-wise feature z_c = sum_j M_cj x_j, [B, C, D]."""
    return torch.einsum("bcp,bpd->bcd", weights, places)


def local_similarity(places: Tensor, classes: Tensor, sharpness: float, mask: Tensor | None = None) -> Tensor:
    """Local similarity [B, C] of places [B, P, D] to classes [C, D], by the heatmap of the same features."""
    similarity = similarities(places, classes)
    return aggregate(attention(similarity, sharpness, mask), similarity)
