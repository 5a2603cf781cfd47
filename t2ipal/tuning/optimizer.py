"""The optimizer of the recipe, and its learning rates as a function of the epoch alone."""

import math

import torch
from torch.optim import Optimizer

from t2ipal.methods.base import Method
from t2ipal.recipe import TuneRecipe


def make_optimizer(method: Method, recipe: TuneRecipe) -> Optimizer:
    """SGD or AdamW with one group for prompts (parameters named "..._context") and one for everything
    else.
    """
    parameters = dict(method.named_parameters())
    prompts = [value for name, value in parameters.items() if name.endswith("_context")]
    head = [value for name, value in parameters.items() if not name.endswith("_context")]
    groups = [
        {"params": prompts, "peak": recipe.prompt_lr},
        {"params": head, "peak": recipe.head_lr},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=recipe.weight_decay)


def set_learning_rates(optimizer: Optimizer, epoch: int, recipe: TuneRecipe) -> None:
    """Set every group's rate for an epoch; without state, so that resuming needs none."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(group["peak"], epoch, recipe)


def learning_rate(peak: float, epoch: int, recipe: TuneRecipe) -> float:
    """A constant warm-up, then a cosine from `peak` towards 0 over all epochs (TaI-DPT's schedule, section
    4.4).
    """
    if epoch < recipe.warmup_epochs:
        return min(recipe.warmup_lr, peak)
    return peak * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
