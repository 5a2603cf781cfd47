"""TaI-DPT (arXiv 2211.12739, authors' code): double-grained prompts, learned from captions alone.

    G_c, L_c   text features of class c behind the global and the local context
    h, h_j     a caption's feature and those of its tokens; in use an image's and those of its patches
    s^g_c      scale cos(h, G_c)
    s^l_c      sum_j softmax_j(k cos(h_j, L_c)) scale cos(h_j, L_c)

Both scores are trained by the ranking loss; the answer is mix s^g + (1 - mix) s^l.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.method_settings import TaIDPTSettings
from t2ipal.methods.base import Batch, Images, Method, Phase, Rate, Terms
from t2ipal.methods.caption_branch import caption_scores
from t2ipal.methods.heatmap import local_similarity, similarities
from t2ipal.methods.prompts import Prompts
from t2ipal.seeds import derive_seed


class TaIDPT(Method):
    """See the module's text."""

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], settings: TaIDPTSettings, seed: int
    ) -> None:
        super().__init__()
        self._settings = settings
        generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "parameters"))
        self.prompts = Prompts(backbone, classes, settings.context, generator)

    def phases(self) -> Sequence[Phase]:
        """One: prompts from captions."""
        settings = self._settings
        rates = {"prompts": Rate(settings.prompt_lr, settings.schedule.warmup_lr)}
        return [
            Phase(
                "tune",
                "captions",
                settings.schedule,
                rates,
                margin=settings.margin,
                templates=settings.templates,
            )
        ]

    def forward(self, batch: Batch, phase: str) -> Terms:
        """Both scores of captions."""
        if batch.captions is None:
            raise ValueError("TaI-DPT learns from captions")
        settings = self._settings
        return Terms(ranked=caption_scores(batch.captions, self.prompts(), settings.scale, settings.k_train))

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """Scores "global" and "local" of images."""
        features, settings = self.prompts(), self._settings
        return {
            "global": settings.scale * images.whole @ features.whole.T,
            "local": settings.scale * local_similarity(images.patches, features.local, settings.k_test),
        }

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """mix s^g + (1 - mix) s^l."""
        return self._settings.mix * parts["global"] + (1 - self._settings.mix) * parts["local"]

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """cos(x_j, L_c), before the softmax: comparable between images."""
        return similarities(images.patches, self.prompts().local)
