"""Which weights are these? By their values, whatever file or hub they came from."""

import hashlib
from collections.abc import Mapping

from torch import Tensor

_VALUES = 1024  # of each tensor at most, spread over it: other weights differ nearly everywhere


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """The hex SHA-256 of the names, the shapes and some values of a model's tensors, as float32."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach()
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        spread = tensor.flatten()[:: max(tensor.numel() // _VALUES, 1)]
        digest.update(spread.float().cpu().numpy().tobytes())
    return digest.hexdigest()
