"""The training loop, the same for every method, in one process or in many.

Every rank sees its part of the same batches; losses are sums over rows divided by the rows of the whole
batch, so the gradient that DDP averages is that of the whole batch, whatever the number of ranks. A rank may
take its part in several smaller ones, one after the other, whose gradients add up to the same.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from t2ipal.errors import UserError
from t2ipal.methods.base import Batch, Method, Phase, Terms
from t2ipal.methods.randomness import StepRandom
from t2ipal.seeds import derive_seed
from t2ipal.tuning.checkpoint import (
    Checkpoint,
    Log,
    restore_optimizer,
    restore_parameters,
    restore_scaler,
    take,
)
from t2ipal.tuning.data import Step, TuningSet, epoch_steps
from t2ipal.tuning.losses import class_ranking_loss, ranking_loss
from t2ipal.tuning.optimizer import make_optimizer, set_learning_rates

OnEpoch = Callable[[Checkpoint], None]
Part = tuple[Step, StepRandom]


def tune(
    method: Method,
    data: TuningSet,
    seed: int,
    accelerator: Accelerator,
    on_epoch: OnEpoch,
    start: Checkpoint | None = None,
    accumulate: int = 1,
) -> Log:
    """Tune `method`, whose backbone is on the accelerator's device, in place; returns one log entry an epoch.

    `on_epoch` gets the state after each epoch, on every rank; `start` is such a state to go on from, and then
    the result is the same, bit for bit, as without the interruption. Within a process group every rank calls
    this with the same data. Each rank's part of a batch is taken in `accumulate` parts, one after the other.
    Raises the UserError of `check_accumulation`.
    """
    check_accumulation(method, accumulate)
    method.to(accelerator.device).train()
    log: Log = []
    if start is not None:
        log += start.log
        restore_parameters(start, method)
        restore_scaler(start, accelerator.scaler)
    done = len(log)
    for phase in method.phases():
        finished = min(done, phase.schedule.epochs)
        done -= finished
        if finished < phase.schedule.epochs:
            within = start if finished else None
            _tune_phase(method, data, phase, seed, accelerator, on_epoch, log, finished, within, accumulate)
    return log


def check_accumulation(method: Method, accumulate: int) -> None:
    """Raise UserError where a loss does not come apart into the losses of smaller parts of a batch."""
    for phase in method.phases():
        if accumulate > 1 and phase.class_ranking > 0:
            raise UserError(
                f"tune.accumulate is {accumulate}, but class_ranking ({phase.class_ranking:g}) compares all "
                "rows of a batch with each other, so that no part of it has a loss of its own",
                "set tune.accumulate to 1, or class_ranking to 0; a smaller schedule.batch or more "
                "tune.workers need less memory too",
            )


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
    accumulate: int,
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
    wrapped, optimizer = accelerator.prepare(_Learner(method, phase.name), optimizer)
    for epoch in range(finished, phase.schedule.epochs):
        set_learning_rates(optimizer, epoch, phase)
        losses = []
        for parts in _steps(data.rows(phase), phase, epoch, seed, accelerator, accumulate):
            optimizer.zero_grad()
            losses.append(_gradients(wrapped, data, phase, parts, accelerator))
            optimizer.step()
        log.append({"phase": phase.name, "epoch": epoch + 1, "loss": float(torch.stack(losses).mean())})
        on_epoch(take(method, optimizer, list(log), accelerator.scaler))
    accelerator.free_memory()  # forgets the wrapped method of this phase


class _Learner(nn.Module):
    """A method in one phase. Accelerate changes and marks what it prepares, and would pass over the method
    itself in the next phase.
    """

    def __init__(self, method: Method, phase: str) -> None:
        super().__init__()
        self.method, self._phase = method, phase

    def forward(self, batch: Batch) -> Terms:
        return cast(Terms, self.method(batch, self._phase))


def _steps(
    rows: Tensor, phase: Phase, epoch: int, seed: int, accelerator: Accelerator, accumulate: int
) -> Iterator[list[Part]]:
    """The parts of each step that this rank takes in turn: those of as many ranks of a larger group."""
    first, ranks = accelerator.process_index * accumulate, accelerator.num_processes * accumulate
    own, batch = derive_seed(seed, phase.name), phase.schedule.batch
    taken = [epoch_steps(len(rows), batch, epoch, own, first + i, ranks) for i in range(accumulate)]
    for i, parts in enumerate(zip(*taken, strict=True)):
        # Each draws the random numbers of the whole batch anew, and takes its rows' from them.
        yield [
            (
                Step(rows[part.rows], part.places, part.counts, part.total),
                StepRandom(derive_seed(own, epoch, i), part.places, part.total, accelerator.device),
            )
            for part in parts
        ]


def _gradients(
    wrapped: Any, data: TuningSet, phase: Phase, parts: list[Part], accelerator: Accelerator
) -> Tensor:
    """Add the gradients of a whole batch to the parameters'; return its loss."""
    losses = []
    for i, (step, random) in enumerate(parts, 1):
        # Ranks exchange gradients once, when all parts are in.
        with nullcontext() if i == len(parts) else accelerator.no_sync(wrapped):
            batch = data.batch(phase, step.rows, random, accelerator.device)
            loss = _loss(wrapped, batch, phase, step, accelerator, len(parts))
            accelerator.backward(loss)
        losses.append(loss.detach())
    return cast(Tensor, accelerator.reduce(torch.stack(losses).sum(), "mean"))


def _loss(
    wrapped: Any, batch: Batch, phase: Phase, step: Step, accelerator: Accelerator, parts: int
) -> Tensor:
    """The loss of one of this rank's `parts`, scaled so that the mean over ranks of their sums is the loss of
    the whole batch. It is float32 in any precision.
    """
    terms = _float(wrapped(batch))
    rows = terms.rows | {
        name: ranking_loss(scores, batch.labels, phase.margin, _known(name, batch))
        for name, scores in terms.ranked.items()
    }
    share = step.counts.to(accelerator.device) * (accelerator.num_processes / step.total)
    weighed = [phase.weights.get(name, 1.0) * (losses * share).sum() for name, losses in rows.items()]
    weighed += [phase.weights.get(name, 1.0) * loss / parts for name, loss in terms.whole.items()]
    if phase.class_ranking > 0:
        scores = [part for name, part in terms.ranked.items() if name.startswith("image_")]
        weighed.append(phase.class_ranking * _class_ranking(scores, batch, phase, step, accelerator))
    return torch.stack(weighed).sum()


def _float(terms: Terms) -> Terms:
    return Terms(*({name: value.float() for name, value in each.items()} for each in vars(terms).values()))


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
