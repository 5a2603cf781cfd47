"""Text features of the classes: behind learned contexts, or in a sentence that nothing changes.

Shapes: C classes, n context tokens, W width of a token embedding, D embedding width.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from t2ipal.clip import Backbone
from t2ipal.methods.encoded import EncodedParameters, Features

CONTEXT_STD = 0.02  # of the first context, as CoOp's and all that came of it
TOKENS = 5000  # whose way through the text tower is held for the gradients: of RN50 some 2 GB


class ClassFeatures(NamedTuple):
    """Features of the classes, L2-normalised: to compare with whole images, and with patches or tokens."""

    whole: Tensor  # [C, D]
    local: Tensor  # [C, D]


class ContrastedFeatures(NamedTuple):
    """Features of what speaks for each class and of what speaks against it, L2-normalised."""

    positive: Tensor  # [C, D]
    negative: Tensor  # [C, D]


class LearnedPrompts(EncodedParameters[Features]):
    """Contexts of n tokens with the class name behind them."""

    def __init__(self, backbone: Backbone, classes: Sequence[str], context: int) -> None:
        super().__init__()
        self._backbone = backbone
        self._tokens = backbone.class_tokens(classes, context)

    def _features(self, *contexts: Tensor) -> Iterable[Tensor]:
        """Those [C, D] of the classes behind each of the contexts, which are all [n, W] or all [C, n, W]."""
        if contexts[0].dim() == 3:
            chunk = max(TOKENS // self._tokens.ids.shape[1], 1)
            return [self._backbone.prompts(each, self._tokens, chunk) for each in contexts]
        return self._backbone.shared_prompts(torch.stack(contexts), self._tokens, TOKENS)


class Prompts(LearnedPrompts[ClassFeatures]):
    """Two contexts, for whole images and for patches, that all classes share (TaI-DPT, arXiv 2211.12739,
    authors' code).
    """

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], context: int, generator: torch.Generator
    ) -> None:
        super().__init__(backbone, classes, context)
        shape = (context, backbone.width)
        self.global_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)
        self.local_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)

    def _encode(self) -> ClassFeatures:
        return ClassFeatures(*self._features(self.global_context, self.local_context))


class ContrastedPrompts(LearnedPrompts[ContrastedFeatures]):
    """Two contexts for every class, or two that all share: one says that it is there, one that it is not
    (DualCoOp, arXiv 2206.09541).
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        context: int,
        class_specific: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__(backbone, classes, context)
        shape = (*([len(classes)] if class_specific else []), context, backbone.width)
        self.positive_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)
        self.negative_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)

    def _encode(self) -> ContrastedFeatures:
        return ContrastedFeatures(*self._features(self.positive_context, self.negative_context))


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
