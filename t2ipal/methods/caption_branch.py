"""Scores of captions: the texts that stand in for images in TaI-DPT (arXiv 2211.12739, authors' code)."""

from torch import Tensor

from t2ipal.methods.base import Captions
from t2ipal.methods.heatmap import local_similarity
from t2ipal.methods.prompts import ClassFeatures


def caption_scores(
    captions: Captions, classes: ClassFeatures, scale: float, sharpness: float
) -> dict[str, Tensor]:
    """Scores [B, C] "caption_global", scale cos(h, G_c), and "caption_local", the same of the heatmap's
    tokens.
    """
    local = local_similarity(captions.tokens, classes.local, sharpness, captions.mask)
    return {"caption_global": scale * captions.whole @ classes.whole.T, "caption_local": scale * local}
