"""The one training loop of the picture world: checkpoints, exact data order after a resume, a log."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from t2ipal.seeds import derive_seed

Loss = Callable[[torch.Generator, float], Tensor]
Parts = dict[str, nn.Module | torch.optim.Optimizer]

LOG_EVERY = 100  # steps


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train.

    The learning rate warms up over `warmup` steps; then it falls by a cosine to zero over `steps`, or stays
    where it is if `decay` is False (an averaged model needs no decay, and can be taken at any time).
    `stop` ends the training early, on the same course.
    """

    steps: int
    batch: int
    lr: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = 100
    decay: bool = True
    ema: float | None = None
    save_every: int = 500
    stop: int | None = None

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.lr * warm * (0.5 * (1 + math.cos(math.pi * step / self.steps)) if self.decay else 1.0)


@dataclass
class Progress:
    """What the log and the model card tell of a training."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    running: float = 0.0  # sum of the losses since the last of them; kept, so that a resumed log is the same


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def finished(name: str, schedule: Schedule, work: Path) -> bool:
    """Say whether a training of this name has come to its end in the work folder."""
    progress = work / name / "progress.json"
    return progress.exists() and json.loads(progress.read_text())["step"] >= (schedule.stop or schedule.steps)


def fit(
    name: str, model: nn.Module, loss: Loss, schedule: Schedule, work: Path
) -> tuple[nn.Module, Progress]:
    """Train `model` in place; returns it (its average, if the schedule asks for one) and what it took.

    `loss` gets a generator seeded from (name, step), so a resumed training sees the batches that an
    uninterrupted one would, and how far the training is (0 to 1).
    """
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(schedule.ema)) if schedule.ema else None
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, schedule.lr, schedule.betas, weight_decay=schedule.weight_decay, fused=True
    )
    parts: Parts = {"model": model, "optimizer": optimizer}
    if averaged:
        parts["averaged"] = averaged
    checkpoint = work / name / "checkpoint.pt"
    progress = _resume(checkpoint, parts)
    since, end = time.monotonic(), schedule.stop or schedule.steps
    while progress.step < end:
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(progress.step)
        progress.running += _step(name, progress.step, loss, schedule, parameters, optimizer)
        if averaged:
            averaged.update_parameters(model)
        progress.step += 1
        progress.samples += schedule.batch
        if progress.step % LOG_EVERY == 0:
            progress.losses.append((progress.step, round(progress.running / LOG_EVERY, 4)))
            _log(name, progress, time.monotonic() - since)
            progress.running = 0.0
        if progress.step % schedule.save_every == 0 or progress.step == end:
            progress.seconds += time.monotonic() - since
            since = time.monotonic()
            _save(checkpoint, parts, progress)
    return (averaged.module if averaged else model), progress


def _step(
    name: str,
    step: int,
    loss: Loss,
    schedule: Schedule,
    parameters: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> float:
    generator = torch.Generator().manual_seed(derive_seed("picturebook", name, step))
    # The flash kernel's backward takes half of a step on CPU; at these sizes the plain one is far faster.
    with torch.autocast(device().type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        value = loss(generator, step / schedule.steps)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    return float(value.detach())


def _resume(checkpoint: Path, parts: Parts) -> Progress:
    if not checkpoint.exists():
        return Progress()
    saved = torch.load(checkpoint, map_location=device(), weights_only=True)
    for key, part in parts.items():
        part.load_state_dict(saved[key])
    return Progress(**saved["progress"])


def _save(checkpoint: Path, parts: Parts, progress: Progress) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    state = {key: part.state_dict() for key, part in parts.items()} | {"progress": asdict(progress)}
    partial = checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, checkpoint)
    (checkpoint.parent / "progress.json").write_text(json.dumps(asdict(progress)))


def _log(name: str, progress: Progress, seconds: float) -> None:
    step, value = progress.losses[-1]
    print(
        f"{name}: step {step}, {progress.samples} samples, loss {value}, {progress.seconds + seconds:.0f} s",
        flush=True,
    )
