"""Class names behind a context that all share, many of them in one sequence of tokens:

    begin, context, first name, end, second name, end, ...

Under a causal mask nothing that stands behind changes the begin token and the context, so they are the same
for every class and are computed once. A name sees them and what comes before it within the name, and has the
places that it would have in a sentence of its own: the features are those of whole sentences.

Shapes: C classes, L tokens of a prompt, T tokens of a sequence.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PACKED = 128  # names of a sequence: with more, attention to what is masked would cost more than the context


class PackedNames(NamedTuple):
    """Where the tokens of a sequence come from, and what they see."""

    ids: Tensor  # [T] token ids; those of the context are never read
    places: Tensor  # [T] place of each token within its own prompt
    ends: Tensor  # [C] index in the sequence of each class's end token
    mask: Tensor  # [T, T] float32, 0 where a token (row) sees another one, else -inf

    def to(self, device: torch.device | str) -> "PackedNames":
        """The same on a device."""
        return PackedNames(*(each.to(device) for each in self))


def pack(ids: Tensor, last: Tensor, before: int) -> PackedNames:
    """One sequence of prompts [C, L] whose first `before` tokens are the same and whose end tokens are at
    `last` [C].
    """
    classes, length = ids.shape
    place = torch.arange(length, device=ids.device).expand(classes, length)
    own = (place >= before) & (place <= last[:, None])
    owner = torch.arange(classes, device=ids.device)[:, None].expand(classes, length)
    shared = place[0, :before]
    places = torch.cat([shared, place[own]])
    owners = torch.cat([torch.full_like(shared, -1), owner[own]])
    allowed = (owners == -1) | (owners[:, None] == owners)
    seen = allowed & (places <= places[:, None])
    mask = torch.zeros(seen.shape, device=ids.device).masked_fill(~seen, float("-inf"))
    ends = before + (last - before + 1).cumsum(0) - 1
    return PackedNames(torch.cat([ids[0, :before], ids[own]]), places, ends, mask)


def pack_all(ids: Tensor, last: Tensor, before: int, names: int) -> Sequence[PackedNames]:
    """Sequences of at most `names` prompts each, in order."""
    parts = zip(ids.split(names), last.split(names), strict=True)
    return tuple(pack(*part, before) for part in parts)
