"""CLIP as it comes: one sentence per class, compared with the image's global feature."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.methods.base import Captions, Images, Method
from t2ipal.methods.heatmap import similarities


class ZeroShot(Method):
    """Cosine similarity to the sentence that `template` makes of each class name ("a photo of a {}")."""

    classes: Tensor  # [C, D]

    def __init__(self, backbone: Backbone, classes: Sequence[str], template: str) -> None:
        super().__init__()
        sentences = backbone.sentences([template.format(name) for name in classes])
        self.register_buffer("classes", sentences.whole, persistent=False)

    def initialise(self, batches: Iterable[tuple[Images, Tensor]]) -> None:
        """Nothing is taken from any image."""

    def forward(self, images: Images, captions: Captions | None = None) -> dict[str, Tensor]:
        """Nothing is trained."""
        return {}

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """The global score alone."""
        return {"global": images.whole @ self.classes.T}

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """The global score."""
        return parts["global"]

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """Cosine similarity of each patch to each class."""
        return similarities(images.patches, self.classes)
