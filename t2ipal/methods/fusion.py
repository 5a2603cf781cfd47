"""Two recognizers as one: what was learned without labels helps where labels are few (TaI-DPT, arXiv
2211.12739, with DualCoOp; T2I-PAL, arXiv 2506.10575, does the same).

    n(s)       (s - low) / (high - low), of all scores of a recognizer with the same two numbers
    answer     (1 - share) n(s label-free) + share n(s labelled)

The papers take low and high from the test scores. Here they come from where a recognizer's thresholds do,
synthetic images or labelled photos that were kept from its tuning (t2ipal.evaluation.fitted): nothing is
taken from test images, and a single image has a score. Scores outside the range stay outside 0 and 1.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from t2ipal.methods.base import Images, Method


class Range(NamedTuple):
    """The least and the highest of a recognizer's scores."""

    low: float
    high: float

    @classmethod
    def of(cls, scores: NDArray[np.float32]) -> Self:
        """The range of `scores` [N, C], over images and classes."""
        return cls(float(scores.min()), float(scores.max()))

    def normalise(self, scores: Tensor) -> Tensor:
        """Map the range to 0 and 1; a range without width to 0."""
        return (scores - self.low) / ((self.high - self.low) or 1.0)


class Fusion(Method):
    """See the module's text. Both recognizers are tuned on their own before."""

    def __init__(
        self, label_free: Method, labelled: Method, ranges: tuple[Range, Range], share: float
    ) -> None:
        super().__init__()
        self.label_free, self.labelled = label_free, labelled
        self._ranges, self._share = ranges, share

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """The normalised scores "label_free" and "labelled"."""
        of_free, of_labelled = self._ranges
        return {
            "label_free": of_free.normalise(self.label_free.scores(images)),
            "labelled": of_labelled.normalise(self.labelled.scores(images)),
        }

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """Their weighted mean."""
        return (1 - self._share) * parts["label_free"] + self._share * parts["labelled"]

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """The weighted mean of both."""
        free, labelled = self.label_free.heatmap(images), self.labelled.heatmap(images)
        return (1 - self._share) * free + self._share * labelled
