"""Synthetic images as a memory of labels: Tip-Adapter (arXiv 2111.03930), which T2I-PAL cites."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from t2ipal.methods.base import TrainingSet

BATCH = 512  # of images looked at while the cache is filled


class CacheAdapter(nn.Module):
    """s_c = sum_i exp(-beta (1 - cos(x, k_i))) v_ic over the cached images i, with keys that are tuned, as in
    the variant Tip-Adapter-F.

    The cache holds up to `size` images of each class, the first ones of the training set. An image of
    several classes is kept once for each; v_i are all its labels, divided by the number of cached images
    that hold the class, so that frequent classes do not score more. Where a class has fewer images its
    places stay empty.
    """

    def __init__(self, width: int, classes: int, size: int, sharpness: float) -> None:
        super().__init__()
        self._size, self._sharpness = size, sharpness
        self.keys = nn.Parameter(torch.zeros(classes * size, width))
        self.values = nn.Parameter(torch.zeros(classes * size, classes), requires_grad=False)

    @torch.no_grad()
    def fill(self, data: TrainingSet) -> None:
        """Take the images of each class that come first."""
        classes = self.values.shape[1]
        taken = [0] * classes
        self.values.zero_()
        for images, labels in data.in_order(BATCH, self.keys.device):
            for row, c in labels.nonzero().tolist():
                if taken[c] < self._size:
                    place = c * self._size + taken[c]
                    self.keys[place], self.values[place] = images.whole[row], labels[row].to(self.values)
                    taken[c] += 1
        self.values.div_(self.values.sum(dim=0).clamp(min=1))

    def forward(self, features: Tensor) -> Tensor:
        """Scores [B, C] of global features [B, D], 0 to 1."""
        near = features @ functional.normalize(self.keys, dim=-1).T
        return (-self._sharpness * (1 - near)).exp() @ self.values
