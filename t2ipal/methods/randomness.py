"""Random numbers of one training step that do not depend on how many ranks share it."""

import torch
from torch import Tensor


class StepRandom:
    """Noise and dropout of one step. Every rank draws those of the whole batch, and takes its own rows'.

    So a run gives the same result on any number of ranks, and after a resume at any step.
    """

    def __init__(self, seed: int, places: Tensor, total: int, device: torch.device) -> None:
        """`places` [b] are this rank's rows in the batch of `total` rows."""
        self._generator = torch.Generator(device).manual_seed(seed)
        self._places = places.to(device)
        self._total = total
        self._device = device

    def normal_rows(self, *tail: int) -> Tensor:
        """Standard normal numbers [b, *tail] of this rank's rows."""
        shape = (self._total, *tail)
        return torch.randn(shape, generator=self._generator, device=self._device)[self._places]

    def kept_rows(self, rate: float, *tail: int) -> Tensor:
        """Dropout's factors [b, *tail] of this rank's rows: 0 at the rate given, else 1 / (1 - rate)."""
        return self.kept(rate, self._total, *tail)[self._places]

    def kept(self, rate: float, *shape: int) -> Tensor:
        """Dropout's factors of what all ranks share, as the features of classes."""
        drawn = torch.rand(shape, generator=self._generator, device=self._device)
        return (drawn >= rate).float() / (1 - rate)
