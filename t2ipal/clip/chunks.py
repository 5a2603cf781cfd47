"""Rows through a computation whose inner state is large, some at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(encode: Callable[..., Tensor], chunk: int, *tables: Tensor) -> Tensor:
    """What `encode` makes [N, ...] of the rows of `tables`, each [N, ...]; gradients reach the tables.

    Where there are more than `chunk` rows, they pass in chunks whose inner state is computed again for the
    gradients instead of being held: the result is the same, the memory that of one chunk.
    """
    return in_parts(encode, list(zip(*(table.split(chunk) for table in tables), strict=True)))


def in_parts(encode: Callable[..., Tensor], parts: Sequence[Sequence[Any]], held: int = 0) -> Tensor:
    """What `encode` makes [N, ...] of the arguments of each part, joined; gradients reach the arguments.

    The inner state of the first `held` parts is held for the gradients, and that of the others computed
    again; a single part is held.
    """
    if len(parts) == 1:
        return encode(*parts[0])
    made = [encode(*part) for part in parts[:held]]
    made += [checkpoint(encode, *part, use_reentrant=False) for part in parts[held:]]
    return torch.cat(made)
