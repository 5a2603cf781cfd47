"""Scores made comparable between images and between classes, without labels (SPARC, arXiv 2502.16911: its
first step).

Shapes: N images, C classes.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

SAME = 1e-6  # scores that differ by less than this share of their size differ by rounding alone


def standardise_images(scores: Tensor) -> Tensor:
    """Give each row of `scores` [N, C] the mean 0 and the deviation 1 over its classes.

    A row of equal scores becomes 0. Of a single class there is nothing to compare, and its scores stay.
    """
    return (scores - scores.mean(dim=1, keepdim=True)) / _spread(scores, 1) if scores.shape[1] > 1 else scores


@dataclass(frozen=True, eq=False)
class Standardisation:
    """First each image over the classes, then each class by its mean and deviation over a set of images."""

    mean: Tensor  # [C]
    std: Tensor  # [C], over all images; 1 for a class that scores the same on all of them

    @classmethod
    def fit(cls, scores: Tensor) -> Self:
        """Take the classes' means and deviations from `scores` [N, C] of synthetic or unlabelled images."""
        rows = standardise_images(scores)
        return cls(rows.mean(dim=0), _spread(rows, 0)[0])

    def __call__(self, scores: Tensor) -> Tensor:
        """Standardise `scores` [N, C] of the same classes; nothing is taken from these images together."""
        return (standardise_images(scores) - self.mean) / self.std


def _spread(scores: Tensor, dim: int) -> Tensor:
    """Standard deviation over `dim`, which is kept; 1 where nothing but rounding differs."""
    std = scores.std(dim=dim, correction=0, keepdim=True)
    return torch.where(std > SAME * scores.abs().amax(dim=dim, keepdim=True), std, 1.0)
