"""Parameters that stand for features of the classes once a frozen encoder has seen them."""

from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

import torch
from torch import nn

Features = TypeVar("Features")  # what they stand for


class EncodedParameters(nn.Module, ABC, Generic[Features]):
    """In training they are encoded at every call, in evaluation once."""

    def __init__(self) -> None:
        super().__init__()
        self._known: Features | None = None

    def forward(self) -> Features:
        """Features of the classes; gradients reach the parameters in training mode."""
        if self._known is not None:
            return self._known
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.training):
            features = self._encode()
        if not self.training:
            self._known = features
        return features

    def train(self, mode: bool = True) -> Self:
        """Forget what was encoded: parameters may change now, or have just been loaded."""
        self._known = None
        super().train(mode)
        return self

    @abstractmethod
    def _encode(self) -> Features:
        """The features of the parameters as they are now."""
