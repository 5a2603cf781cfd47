"""A small residual network between frozen features and the classifier (CLIP-Adapter, arXiv 2110.04544)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

REDUCTION = 4  # of the width in the bottleneck, as CLIP-Adapter


class Adapter(nn.Module):
    """x' = norm(alpha * W2 relu(W1 x) + (1 - alpha) * x), without biases; a small `alpha` keeps CLIP.

    W2 starts at zero, so tuning starts at CLIP itself, as LoRA does.
    """

    def __init__(self, width: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.alpha = alpha
        narrow = max(width // REDUCTION, 1)
        self.down = nn.Parameter(torch.randn(narrow, width, generator=generator) * (2 / width) ** 0.5)
        self.up = nn.Parameter(torch.zeros(width, narrow))

    def forward(self, features: Tensor) -> Tensor:
        """Adapt L2-normalised features [..., D]; the result is normalised too."""
        adapted = functional.linear(functional.relu(functional.linear(features, self.down)), self.up)
        return functional.normalize(self.alpha * adapted + (1 - self.alpha) * features, dim=-1)
