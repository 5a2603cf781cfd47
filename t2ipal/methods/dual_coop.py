"""DualCoOp (arXiv 2206.09541): what speaks for a class and what speaks against it, learned from photos with
few labels.

    P_c, N_c   text features of class c behind its positive and its negative context
    x_j        features of the image's patches; its global feature is not used
    M_cj       softmax_j(k cos(x_j, P_c)), the heatmap of both
    s+_c       sum_j M_cj scale cos(x_j, P_c)
    s-_c       sum_j M_cj scale cos(x_j, N_c)
    answer     the softmax over the two, 1 / (1 + exp(s-_c - s+_c)), a probability

The loss is the asymmetric one (ASL) of the known labels, summed over a row's classes, as a mean over rows.
From the authors' code are: the heatmap of P_c serves N_c too; contexts start as Normal(0, 0.02^2) with the
class name behind them; SGD with a constant warm-up epoch at 1e-5 and a cosine; and the loss, which they sum
over the batch and multiply by 0.03, is with their batch of 32 the mean used here. The scale of 50 and k = e^3
are those of TaI-DPT's re-run of DualCoOp (arXiv 2211.12739), where the authors have 100 and 20. Features are
frozen, so there are no augmentations.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.method_settings import DualCoOpSettings
from t2ipal.methods.base import Batch, Images, Method, Phase, Rate, Terms
from t2ipal.methods.heatmap import aggregate, attention, similarities
from t2ipal.methods.prompts import ContrastedPrompts
from t2ipal.seeds import derive_seed
from t2ipal.tuning.losses import asymmetric_loss


class DualCoOp(Method):
    """See the module's text."""

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], settings: DualCoOpSettings, seed: int
    ) -> None:
        super().__init__()
        self._settings = settings
        generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "parameters"))
        self.prompts = ContrastedPrompts(
            backbone, classes, settings.context, settings.class_specific, generator
        )

    def phases(self) -> Sequence[Phase]:
        """One: prompts from labelled images."""
        settings = self._settings
        rates = {"prompts": Rate(settings.prompt_lr, settings.schedule.warmup_lr)}
        weights = {"labels": settings.loss_weight}
        return [Phase("tune", "images", settings.schedule, rates, weights)]

    def forward(self, batch: Batch, phase: str) -> Terms:
        """The loss of each row's known labels."""
        if batch.images is None:
            raise ValueError("DualCoOp learns from images")
        settings = self._settings
        positive, negative = self._evidence(batch.images)
        loss = asymmetric_loss(
            positive - negative,
            batch.labels,
            batch.known,
            settings.gamma_negative,
            settings.gamma_positive,
            settings.clip,
        )
        return Terms(rows={"labels": loss})

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """s+ as "positive" and -s- as "negative": of both more means that the class is there."""
        positive, negative = self._evidence(images)
        return {"positive": positive, "negative": -negative}

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """The probability, 0 to 1."""
        return (parts["positive"] + parts["negative"]).sigmoid()

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """cos(x_j, P_c), before the softmax: comparable between images."""
        return similarities(images.patches, self.prompts().positive)

    def _evidence(self, images: Images) -> tuple[Tensor, Tensor]:
        """s+ and s-, [B, C]."""
        classes, settings = self.prompts(), self._settings
        positive = similarities(images.patches, classes.positive)
        negative = similarities(images.patches, classes.negative)
        weights = attention(positive, settings.k)
        return settings.scale * aggregate(weights, positive), settings.scale * aggregate(weights, negative)
