"""The training loop, the same for every method, in one process or in many.

Every rank sees its part of the same batches; losses are sums over rows divided by the rows of the whole
batch, so the gradient that DDP averages is that of the whole batch, whatever the number of ranks.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from t2ipal.methods.base import Images, Method
from t2ipal.recipe import TuneRecipe
from t2ipal.tuning.checkpoint import Checkpoint, Log, restore, take
from t2ipal.tuning.data import Step, TuningSet, epoch_steps
from t2ipal.tuning.losses import class_ranking_loss, ranking_loss
from t2ipal.tuning.optimizer import make_optimizer, set_learning_rates

OnEpoch = Callable[[Checkpoint], None]


def tune(
    method: Method,
    data: TuningSet,
    recipe: TuneRecipe,
    seed: int,
    accelerator: Accelerator,
    on_epoch: OnEpoch,
    start: Checkpoint | None = None,
) -> Log:
    """Tune `method`, whose backbone is on the accelerator's device, in place; returns one log entry an epoch.

    `on_epoch` gets the state after each epoch, on every rank; `start` is such a state to go on from, and then
    the result is the same, bit for bit, as without the interruption. Within a process group every rank calls
    this with the same data.
    """
    method.to(accelerator.device).train()
    optimizer = make_optimizer(method, recipe)
    if start is None:
        method.initialise(_in_order(data, recipe.batch, accelerator.device))
    else:
        restore(start, method, optimizer)
    wrapped, optimizer = accelerator.prepare(method, optimizer)
    log: Log = list(start.log) if start is not None else []
    for epoch in range(len(log), recipe.epochs):
        set_learning_rates(optimizer, epoch, recipe)
        ranks = (accelerator.process_index, accelerator.num_processes)
        losses = []
        for step in epoch_steps(len(data), recipe.batch, epoch, seed, *ranks):
            loss = _loss(wrapped, data, step, recipe, accelerator)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            losses.append(accelerator.reduce(loss.detach(), "mean"))
        log.append({"epoch": epoch + 1, "loss": float(torch.stack(losses).mean())})
        on_epoch(take(method, optimizer, log))
    return log


def _loss(wrapped: Any, data: TuningSet, step: Step, recipe: TuneRecipe, accelerator: Accelerator) -> Tensor:
    """This rank's loss, scaled so that the mean over ranks is the loss of the whole batch."""
    device = accelerator.device
    labels, counts = data.labels[step.rows].to(device), step.counts.to(device)
    captions = data.captions_of(step.rows, device) if recipe.caption_branch else None
    parts: dict[str, Tensor] = wrapped(data.images(step.rows, device), captions)
    share = accelerator.num_processes / step.total
    rows = torch.stack([ranking_loss(part, labels, recipe.margin) for part in parts.values()]).sum(dim=0)
    loss: Tensor = (rows * counts).sum() * share
    if recipe.class_ranking > 0:
        every_label, every_count = accelerator.gather(labels), accelerator.gather(counts)
        for part in (part for name, part in parts.items() if name.startswith("image_")):
            every = _gather(part, accelerator)[every_count]
            term = class_ranking_loss(every, every_label[every_count], recipe.margin)
            # Every rank has the whole term, but gradients of its own rows only: DDP averages where they must
            # add up.
            scaled = accelerator.num_processes * (term - term.detach()) + term.detach()
            loss = loss + recipe.class_ranking * scaled
    return loss


def _gather(scores: Tensor, accelerator: Accelerator) -> Tensor:
    """The rows of all ranks, in rank order; gradients reach this rank's own."""
    everyone = list(accelerator.gather(scores.detach()).chunk(accelerator.num_processes))
    everyone[accelerator.process_index] = scores
    return torch.cat(everyone)


def _in_order(data: TuningSet, batch: int, device: torch.device) -> Iterator[tuple[Images, Tensor]]:
    for rows in torch.tensor_split(torch.arange(len(data)), list(range(batch, len(data), batch))):
        yield data.images(rows, device), data.labels[rows].to(device)
