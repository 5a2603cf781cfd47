"""A small residual network between frozen features and the classifier.

The adapters of CLIP-Adapter (arXiv 2110.04544), as T2I-PAL's, and of TAI++ (arXiv 2405.06926, authors' code),
as PVP's, differ in width and dropout only.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from t2ipal.methods.randomness import StepRandom

REDUCTION = 4  # of the width in CLIP-Adapter's bottleneck


class Adapter(nn.Module):
    """x' = norm(alpha W2 dropout(relu(W1 x)) + (1 - alpha) x), without biases; a small `alpha` keeps CLIP.

    W2 starts at zero, so tuning starts at CLIP itself, as LoRA does.
    """

    def __init__(
        self,
        width: int,
        alpha: float,
        generator: torch.Generator,
        reduction: int = REDUCTION,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.alpha, self.dropout = alpha, dropout
        narrow = max(width // reduction, 1)
        self.down = nn.Parameter(torch.randn(narrow, width, generator=generator) * (2 / width) ** 0.5)
        self.up = nn.Parameter(torch.zeros(width, narrow))

    def forward(self, features: Tensor) -> Tensor:
        """Adapt L2-normalised features [..., D] without dropout; the result is normalised too."""
        return self._adapt(features, None)

    def rows(self, features: Tensor, random: StepRandom) -> Tensor:
        """Adapt features [b, D] of this rank's rows, in training."""
        return self._adapt(features, self._kept(random.kept_rows, features.shape[1:-1]))

    def shared(self, features: Tensor, random: StepRandom) -> Tensor:
        """Adapt features [C, D] that all ranks share, in training."""
        return self._adapt(features, self._kept(random.kept, features.shape[:-1]))

    def _kept(self, draw: Callable[..., Tensor], shape: torch.Size) -> Tensor | None:
        if not (self.training and self.dropout):
            return None
        return draw(self.dropout, *shape, len(self.down))

    def _adapt(self, features: Tensor, kept: Tensor | None) -> Tensor:
        hidden = functional.relu(functional.linear(features, self.down))
        if kept is not None:
            hidden = hidden * kept
        adapted = functional.linear(hidden, self.up)
        return functional.normalize(self.alpha * adapted + (1 - self.alpha) * features, dim=-1)
