"""The training loop, the same for every method, in one process or in many.

Every rank sees its part of the same batches; losses are sums over rows divided by the rows of the whole
batch, so the gradient that DDP averages is that of the whole batch, whatever the number of ranks.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor

from t2ipal.methods.base import Batch, Method, Phase, Terms
from t2ipal.methods.randomness import StepRandom
from t2ipal.seeds import derive_seed
from t2ipal.tuning.checkpoint import Checkpoint, Log, restore_optimizer, restore_parameters, take
from t2ipal.tuning.data import Step, TuningSet, epoch_steps
from t2ipal.tuning.losses import class_ranking_loss, ranking_loss
from t2ipal.tuning.optimizer import make_optimizer, set_learning_rates

OnEpoch = Callable[[Checkpoint], None]


def tune(
    method: Method,
    data: TuningSet,
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
    log: Log = []
    if start is not None:
        log += start.log
        restore_parameters(start, method)
    done = len(log)
    for phase in method.phases():
        finished = min(done, phase.schedule.epochs)
        done -= finished
        if finished < phase.schedule.epochs:
            within = start if finished else None
            _tune_phase(method, data, phase, seed, accelerator, on_epoch, log, finished, within)
    return log


def _tune_phase(
    method: Method,
    data: TuningSet,
    phase: Phase,
    seed: int,
    accelerator: Accelerator,
    on_epoch: OnEpoch,
    log: Log,
    finished: int,
    start: Checkpoint | None,
) -> None:
    """Run the epochs of a phase but for the first `finished`, after which `start` is the state; add their
    entries to the log.
    """
    data = cast(TuningSet, method.eval().select(phase, data))
    method.train()
    optimizer = make_optimizer(method, phase)
    if start is None:
        method.begin(phase, data)
    else:
        restore_optimizer(start, optimizer)
    wrapped, optimizer = accelerator.prepare(method, optimizer)
    for epoch in range(finished, phase.schedule.epochs):
        set_learning_rates(optimizer, epoch, phase)
        losses = []
        for step, random in _steps(data.rows(phase), phase, epoch, seed, accelerator):
            batch = data.batch(phase, step.rows, random, accelerator.device)
            loss = _loss(wrapped, batch, phase, step, accelerator)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            losses.append(accelerator.reduce(loss.detach(), "mean"))
        log.append({"phase": phase.name, "epoch": epoch + 1, "loss": float(torch.stack(losses).mean())})
        on_epoch(take(method, optimizer, list(log)))
    accelerator.free_memory()  # forgets the wrapped method of this phase


def _steps(
    rows: Tensor, phase: Phase, epoch: int, seed: int, accelerator: Accelerator
) -> list[tuple[Step, StepRandom]]:
    ranks = (accelerator.process_index, accelerator.num_processes)
    own = derive_seed(seed, phase.name)
    steps = epoch_steps(len(rows), phase.schedule.batch, epoch, own, *ranks)
    return [
        (
            Step(rows[step.rows], step.places, step.counts, step.total),
            StepRandom(derive_seed(own, epoch, i), step.places, step.total, accelerator.device),
        )
        for i, step in enumerate(steps)
    ]


def _loss(wrapped: Any, batch: Batch, phase: Phase, step: Step, accelerator: Accelerator) -> Tensor:
    """This rank's loss, scaled so that the mean over ranks is the loss of the whole batch."""
    terms: Terms = wrapped(batch, phase.name)
    rows = terms.rows | {
        name: ranking_loss(scores, batch.labels, phase.margin, _known(name, batch))
        for name, scores in terms.ranked.items()
    }
    share = step.counts.to(accelerator.device) * (accelerator.num_processes / step.total)
    weighed = [phase.weights.get(name, 1.0) * (losses * share).sum() for name, losses in rows.items()]
    weighed += [phase.weights.get(name, 1.0) * loss for name, loss in terms.whole.items()]
    if phase.class_ranking > 0:
        scores = [part for name, part in terms.ranked.items() if name.startswith("image_")]
        weighed.append(phase.class_ranking * _class_ranking(scores, batch, phase, step, accelerator))
    return torch.stack(weighed).sum()


def _known(name: str, batch: Batch) -> Tensor | None:
    """Which labels hold for a term: what may be wrong about an image is still what its caption says."""
    return batch.known if name.startswith("image_") else None


def _class_ranking(
    scores: list[Tensor], batch: Batch, phase: Phase, step: Step, accelerator: Accelerator
) -> Tensor:
    """The term that ranks the rows of all ranks within each class."""
    counts = accelerator.gather(step.counts.to(accelerator.device))
    labels = accelerator.gather(batch.labels)[counts]
    known = None if batch.known is None else accelerator.gather(batch.known)[counts]
    terms = []
    for part in scores:
        term = class_ranking_loss(_gather(part, accelerator)[counts], labels, phase.margin, known)
        # Every rank has the whole term, but gradients of its own rows only: DDP averages where they must
        # add up.
        terms.append(accelerator.num_processes * (term - term.detach()) + term.detach())
    return torch.stack(terms).sum()


def _gather(scores: Tensor, accelerator: Accelerator) -> Tensor:
    """The rows of all ranks, in rank order; gradients reach this rank's own."""
    everyone = list(accelerator.gather(scores.detach()).chunk(accelerator.num_processes))
    everyone[accelerator.process_index] = scores
    return torch.cat(everyone)
