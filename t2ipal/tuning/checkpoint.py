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
from t2ipal.store import Store

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


def shapes(store: Store, name: str) -> dict[str, list[int]]:
    """The shapes of the parameters in a checkpoint file, by name; nothing else of it is read.

    Raises FileNotFoundError when there is none, ValueError or KeyError when it is none or cut short.
    """
    with store.filesystem.open_input_file(store.path(name)) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > file.size():
            raise ValueError(f"{name} is no safetensors file")
        header = json.loads(file.read(length))
        end = (
            8
            + length
            + max((each["data_offsets"][1] for each in header.values() if "shape" in each), default=0)
        )
        if file.size() != end:
            raise ValueError(f"{name} has {file.size()} bytes, and its header says {end}")
    mark = "parameters/"
    return {
        each.removeprefix(mark): content["shape"] for each, content in header.items() if each.startswith(mark)
    }


def from_bytes(data: bytes) -> Checkpoint:
    """Read what `to_bytes` wrote."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    parts: dict[str, dict[str, Tensor]] = {"parameters": {}, "optimizer": {}, "scaler": {}}
    for name, value in load(data).items():
        part, key = name.split("/", 1)
        parts[part][key] = value
    return Checkpoint(int(metadata["epochs"]), json.loads(metadata["log"]), **parts)
