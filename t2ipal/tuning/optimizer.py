"""The optimizer of a phase, and its learning rates as a function of the epoch alone."""

import math

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from t2ipal.methods.base import Method, Phase, Rate


def make_optimizer(method: Method, phase: Phase) -> Optimizer:
    """SGD or AdamW with a group for each rate of the phase. All other parameters stop learning."""
    schedule = phase.schedule
    groups = []
    method.requires_grad_(False)
    for name, rate in phase.rates.items():
        if parameters := _within(method, name):
            groups.append({"params": parameters, "peak": rate.peak, "warmup": rate.warmup})
            for parameter in parameters:
                parameter.requires_grad_(True)
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=schedule.momentum, weight_decay=schedule.weight_decay)
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=schedule.weight_decay)


def set_learning_rates(optimizer: Optimizer, epoch: int, phase: Phase) -> None:
    """Set every group's rate for an epoch of the phase; without state, so that resuming needs none."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(Rate(group["peak"], group["warmup"]), epoch, phase)


def learning_rate(rate: Rate, epoch: int, phase: Phase) -> float:
    """A constant warm-up, then a cosine from the peak towards 0 at the schedule's horizon (TaI-DPT, arXiv
    2211.12739, authors' code).
    """
    schedule = phase.schedule
    if epoch < schedule.warmup_epochs:
        return rate.warmup
    return rate.peak * 0.5 * (1 + math.cos(math.pi * epoch / (schedule.horizon or schedule.epochs)))


def _within(method: Method, name: str) -> list[Parameter]:
    return [
        parameter
        for each, parameter in method.named_parameters()
        if each == name or each.startswith(name + ".")
    ]
