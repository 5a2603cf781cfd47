"""CLIP as it comes: a sentence per class, compared with the image. Nothing is tuned.

zero_shot            one sentence, the image's global feature
zero_shot_ensemble   the mean feature of many sentences, the image's global feature
zero_shot_dense      one sentence, global and local scores as TaI-DPT fuses them (arXiv 2211.12739)
"""

from collections.abc import Sequence
from typing import Literal

import torch
from open_clip import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.method_settings import ZeroShotSettings
from t2ipal.methods.base import Images, Method
from t2ipal.methods.heatmap import local_similarity, similarities
from t2ipal.methods.prompts import Sentences

Variant = Literal["zero_shot", "zero_shot_ensemble", "zero_shot_dense"]


def ensemble(settings: ZeroShotSettings) -> tuple[str, ...]:
    """The templates of the ensemble, with {} in the place of the class name."""
    return settings.ensemble or tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)


class ZeroShot(Method):
    """Cosine similarity to the sentences that templates make of each class name."""

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], settings: ZeroShotSettings, variant: Variant
    ) -> None:
        super().__init__()
        self._settings, self._variant = settings, variant
        one = (settings.template,)
        self.classes = Sentences(
            backbone, classes, ensemble(settings) if variant == "zero_shot_ensemble" else one
        )

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """The part "global", and for the dense variant "local"."""
        features, scale = self.classes(), self._settings.scale
        parts = {"global": scale * images.whole @ features.whole.T}
        if self._variant == "zero_shot_dense":
            parts["local"] = scale * local_similarity(images.patches, features.local, self._settings.k)
        return parts

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """The global score, or mix s^g + (1 - mix) s^l."""
        if "local" not in parts:
            return parts["global"]
        return self._settings.mix * parts["global"] + (1 - self._settings.mix) * parts["local"]

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """Cosine similarity of each patch to each class."""
        return similarities(images.patches, self.classes().local)
