"""The class-wise heatmap over an image's patches or a sentence's tokens, and what it aggregates.

Shapes: B rows, P patches or tokens, C classes, D embedding width. All features are L2-normalised.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from t2ipal.clip.chunks import in_chunks

# Values of a table [rows, C, P] that is held for the gradients: 64 MB, and there are about ten of them. The
# classes of COCO over the patches of 512 images of RN50 are an eighth of it.
TABLE = 2**24
EPSILON = 1e-12  # the least squared length of what is normalised


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


def pooled_sum(weights: Tensor, places: Tensor) -> Tensor:
    """The sum over rows [C, D] of class-wise features z_c = sum_j M_cj x_j."""
    return torch.einsum("bcp,bpd->cd", weights, places)


def pooled_similarity(weights: Tensor, places: Tensor, prototypes: Tensor) -> Tensor:
    """cos(z_c, p_c) [B, C] of class-wise features z_c = sum_j M_cj x_j to `prototypes` [C, D].

    As (sum_j M_cj cos(x_j, p_c)) / |z_c| with |z_c|^2 = sum_ij M_ci M_cj cos(x_i, x_j): all z_c would be a
    table [B, C, D], far larger than these of [B, C, P].
    """
    squares = aggregate(weights, torch.einsum("bcp,bpq->bcq", weights, places @ places.mT))
    return aggregate(weights, similarities(places, prototypes)) * squares.clamp(min=EPSILON).rsqrt()


def local_similarity(places: Tensor, classes: Tensor, sharpness: float, mask: Tensor | None = None) -> Tensor:
    """Local similarity [B, C] of places [B, P, D] to classes [C, D], by the heatmap of the same features."""

    def some(part: Tensor, kept: Tensor | None = None) -> Tensor:
        similarity = similarities(part, classes)
        return aggregate(attention(similarity, sharpness, kept), similarity)

    tables = (places,) if mask is None else (places, mask)
    return in_chunks(some, _rows(places, classes), *tables)


def local_similarities(
    places: Tensor, classes: Tensor, sharpness: float, prototypes: Sequence[Tensor]
) -> Sequence[Tensor]:
    """Local similarity [B, C], and for each of some tables of L2-normalised `prototypes` [C, D] the
    similarity cos(z_c, p_c) [B, C] to it, all by one heatmap.
    """

    def some(part: Tensor) -> Tensor:
        similarity = similarities(part, classes)
        weights = attention(similarity, sharpness)
        pooled = [pooled_similarity(weights, part, each) for each in prototypes]
        return torch.stack([aggregate(weights, similarity), *pooled], dim=1)

    return in_chunks(some, _rows(places, classes), places).unbind(dim=1)


def _rows(places: Tensor, classes: Tensor) -> int:
    """How many rows at once make a table of the size that is held."""
    return max(TABLE // (len(classes) * places.shape[1]), 1)
