"""Rows of different lengths without padding in memory."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ragged:
    """N tables [L_n, D], one behind the other; taken, they are padded with zeros to the longest of all N."""

    def __init__(self, values: Tensor, lengths: Tensor) -> None:
        """`values` [sum of L_n, D], `lengths` [N]."""
        self._values, self._lengths = values, lengths
        self._starts = lengths.cumsum(0) - lengths
        self._places = torch.arange(int(lengths.max()))

    @property
    def mask(self) -> Tensor:
        """What is not padding, bool [N, L]."""
        return self._places < self._lengths[:, None]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Some of them [B, L, D]."""
        places = (self._starts[rows, None] + self._places).clamp(max=len(self._values) - 1)
        padding = self._places >= self._lengths[rows, None]
        return self._values[places].masked_fill_(padding[:, :, None], 0.0)


class RaggedCaptions(NamedTuple):
    """Frozen features of N captions, the tokens without padding."""

    whole: Tensor  # [N, D]
    tokens: Ragged
    mask: Tensor  # [N, L] bool
