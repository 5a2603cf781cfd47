"""Rows through a frozen encoder, some at a time."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(encode: Callable[..., Tensor], chunk: int, *tables: Tensor) -> Tensor:
    """What `encode` makes [N, ...] of the rows of `tables`, each [N, ...]; gradients reach the tables.

    Where there are more than `chunk` rows, they pass in chunks whose inner state is computed again for the
    gradients instead of being held: the result is the same, the memory that of one chunk.
    """
    parts = list(zip(*(table.split(chunk) for table in tables), strict=True))
    if len(parts) == 1:
        return encode(*tables)
    return torch.cat([checkpoint(encode, *part, use_reentrant=False) for part in parts])
