"""The state between two epochs, as one safetensors file: tuned parameters, the optimizer's tensors, the
scale of float16's gradients, the log.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from t2ipal.methods.base import Method, tuned_parameters

Log = list[dict[str, Any]]  # phase, epoch within it, mean loss


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the next epoch depends on; data order and learning rates follow from the recipe and
    the epoch. Of a phase that has ended only the parameters go on.
    """

    epochs: int  # finished
    log: Log  # one entry an epoch
    parameters: dict[str, Tensor]
    optimizer: dict[str, Tensor]  # "<index of the parameter>.<name>"
    scaler: dict[str, Tensor] = field(default_factory=dict)  # numbers; empty but in float16


def take(method: Method, optimizer: Optimizer, log: Log, scaler: GradScaler | None = None) -> Checkpoint:
    """The state after `len(log)` epochs, on the CPU."""
    states = optimizer.state_dict()["state"]
    flat = {
        f"{index}.{name}": torch.as_tensor(value).detach().cpu().clone()
        for index, state in states.items()
        for name, value in state.items()
        if value is not None
    }
    scale = {} if scaler is None else {name: torch.tensor(n) for name, n in scaler.state_dict().items()}
    return Checkpoint(len(log), log, tuned_parameters(method), flat, scale)


def restore_parameters(checkpoint: Checkpoint, method: Method) -> None:
    """Put the tuned parameters back, bit for bit."""
    method.load_state_dict(checkpoint.parameters)


def restore_optimizer(checkpoint: Checkpoint, optimizer: Optimizer) -> None:
    """Put the optimizer's tensors back, bit for bit; it is the one of the same phase."""
    states: dict[int, dict[str, Any]] = {}
    for key, value in checkpoint.optimizer.items():
        index, name = key.split(".", 1)
        states.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def restore_scaler(checkpoint: Checkpoint, scaler: GradScaler | None) -> None:
    """Put the scale of gradients back, where there is one."""
    if scaler is not None and checkpoint.scaler:
        scaler.load_state_dict({name: value.item() for name, value in checkpoint.scaler.items()})


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """A safetensors file."""
    tensors = {f"parameters/{name}": value for name, value in checkpoint.parameters.items()}
    tensors |= {f"optimizer/{name}": value for name, value in checkpoint.optimizer.items()}
    tensors |= {f"scaler/{name}": value for name, value in checkpoint.scaler.items()}
    return save(tensors, {"epochs": str(checkpoint.epochs), "log": json.dumps(checkpoint.log)})


def from_bytes(data: bytes) -> Checkpoint:
    """Read what `to_bytes` wrote."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    parts: dict[str, dict[str, Tensor]] = {"parameters": {}, "optimizer": {}, "scaler": {}}
    for name, value in load(data).items():
        part, key = name.split("/", 1)
        parts[part][key] = value
    return Checkpoint(int(metadata["epochs"]), json.loads(metadata["log"]), **parts)
