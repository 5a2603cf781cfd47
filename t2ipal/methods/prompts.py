"""Text features of the classes: behind learned contexts, or in a sentence that nothing changes.

Shapes: C classes, n context tokens, W width of a token embedding, D embedding width.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from t2ipal.clip import Backbone

CONTEXT_STD = 0.02  # of the first context, as TaI-DPT


class ClassFeatures(NamedTuple):
    """Features of the classes, L2-normalised: to compare with whole images, and with patches or tokens."""

    whole: Tensor  # [C, D]
    local: Tensor  # [C, D]


class Prompts(nn.Module):
    """Two contexts of n tokens, shared by all classes, with the class name behind them (TaI-DPT, arXiv
    2211.12739, authors' code).

    In training they are encoded at every call, in evaluation once.
    """

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], context: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self._backbone = backbone
        self._tokens = backbone.class_tokens(classes, context)
        self._known: ClassFeatures | None = None
        shape = (context, backbone.width)
        self.global_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)
        self.local_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)

    def forward(self) -> ClassFeatures:
        """Features of the classes; gradients reach both contexts in training mode."""
        if self._known is not None:
            return self._known
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.training):
            features = ClassFeatures(
                self._backbone.prompts(self.global_context, self._tokens),
                self._backbone.prompts(self.local_context, self._tokens),
            )
        if not self.training:
            self._known = features
        return features

    def train(self, mode: bool = True) -> Self:
        """Forget what was encoded: parameters may change now, or have just been loaded."""
        self._known = None
        super().train(mode)
        return self


class Sentences(nn.Module):
    """The mean feature of a class's sentences, for whole images and patches alike. Nothing is tuned."""

    features: Tensor  # [C, D]

    def __init__(self, backbone: Backbone, classes: Sequence[str], templates: Sequence[str]) -> None:
        super().__init__()
        means = [
            backbone.sentences([template.replace("{}", name) for template in templates]).whole.mean(dim=0)
            for name in classes
        ]
        features = torch.nn.functional.normalize(torch.stack(means), dim=-1)
        self.register_buffer("features", features, persistent=False)

    def forward(self) -> ClassFeatures:
        """The same features at every call."""
        return ClassFeatures(self.features, self.features)
