"""The endpoint, beside the bare model and two other servers of the same recognizer.

All have the same images and the same cores, one after the other: the model alone, in batches; our endpoint;
FastAPI and uvicorn, an image at a time; LitServe, in batches. Clients run on the same machine and take their
share of it. What each can answer is measured with many clients that never wait; the time that it takes, at
shares of what our endpoint can answer; and how ours bears three times as much.
"""

import base64
import io
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from jobs.benchmarks.process import measured, serve
from jobs.benchmarks.random_recognizer import MODEL, save_random_recognizer
from jobs.benchmarks.report import Report, table
from jobs.benchmarks.requests_load import Answered, Target, at_rate, saturate
from jobs.benchmarks.servers import MAX_BATCH, ONGOING, OUR_BATCH, OURS, SERVERS, running
from jobs.console import say
from jobs.machine import cores, load

COMMAND = "serving"
MODULE = "jobs.benchmarks.serving"
BARE = "the model alone"
IMAGES, WIDE, HIGH = 16, 640, 480
BARE_BATCH = 8
CLIENTS = ONGOING * cores()
SECONDS = 30.0  # of each measure
SHARES = (0.25, 0.5, 0.75, 0.95)  # of what our endpoint can answer
CALM, OVERLOAD = 0.75, 3.0


@dataclass(frozen=True)
class Measured:
    """A server: with clients that never wait, and at shares of what ours can answer."""

    most: Answered
    shares: dict[float, Answered]


@dataclass(frozen=True)
class Overloaded:
    """Our endpoint at three times what it can answer."""

    answered: Answered
    grown_mib: float  # memory of all its processes, from a third of the time on


def benchmark(model: str = MODEL, seconds: float = SECONDS) -> Report:
    """Compare them with a recognizer of random weights on a backbone of open_clip's."""
    before = load()
    with tempfile.TemporaryDirectory() as folder:
        bundle = save_random_recognizer(Path(folder), model)
        alone = float(measured(MODULE, "bare", {"bundle": bundle, "seconds": seconds})["images_per_s"])
        say(f"{BARE}: {alone:.1f} images/s")
        found: dict[str, Measured] = {}
        for name in SERVERS:
            with running(name, bundle) as (url, process):
                target = _target(name, url)
                saturate(target, CLIENTS, min(seconds, 5.0))  # the first answers are slow
                most = saturate(target, CLIENTS, seconds)
                say(f"{name}: {most.rate:.1f} images/s, p99 {most.percentile(99):.0f} ms")
                full = found[OURS].most.rate if found else most.rate
                found[name] = Measured(
                    most, {share: at_rate(target, share * full, seconds) for share in SHARES}
                )
                if name == OURS:
                    overloaded = _overloaded(target, process, OVERLOAD * full, 2 * seconds)
    settings = {"model": model, "clients": CLIENTS, "seconds": seconds, "load_before": before}
    settings |= {"bare_batch": BARE_BATCH, "litserve_batch": MAX_BATCH, "image": f"JPEG {WIDE} x {HIGH}"}
    settings |= {"replicas": cores(), "batch": OUR_BATCH, "ongoing": ONGOING}
    return Report(COMMAND, settings, _figures(alone, found, overloaded), _table(alone, found, overloaded))


def bare(bundle: str, seconds: float) -> dict[str, Any]:
    """Measure the model alone, in full batches of images that are decoded and resized before."""
    import torch

    from t2ipal import Recognizer

    torch.set_num_threads(cores())
    recognizer = Recognizer.load(bundle)
    fitted = recognizer.fit([Image.open(io.BytesIO(data)) for data in pictures()[:BARE_BATCH]])
    names: list[tuple[str, ...]] = [()] * BARE_BATCH
    recognizer.read(fitted, names)
    start, images = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        recognizer.read(fitted, names)
        images += BARE_BATCH
    return {"images_per_s": images / (time.monotonic() - start)}


def pictures() -> list[bytes]:
    """Photos' size and smoothness, as JPEG."""
    files = []
    for seed in range(IMAGES):
        coarse = np.random.default_rng(seed).integers(0, 256, (HIGH // 16, WIDE // 16, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((WIDE, HIGH), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    return files


def _target(name: str, url: str) -> Target:
    if name != "litserve":
        return Target(url, "image/jpeg", pictures())
    texts = [json.dumps({"image": base64.b64encode(each).decode()}) for each in pictures()]
    return Target(url, "application/json", [text.encode() for text in texts])


def _overloaded(target: Target, process: psutil.Process, rate: float, seconds: float) -> Overloaded:
    at_rate(target, rate, seconds / 3)
    before = _memory_mib(process)
    answered = at_rate(target, rate, seconds)
    return Overloaded(answered, _memory_mib(process) - before)


def _memory_mib(process: psutil.Process) -> float:
    """Return what a server and all its processes hold alone."""
    every = [process, *process.children(recursive=True)]
    return sum(each.memory_full_info().uss for each in every) / 2**20


def _figures(alone: float, found: dict[str, Measured], overloaded: Overloaded) -> dict[str, Any]:
    figures: dict[str, Any] = {"bare_images_per_s": alone, "ratio_to_bare": found[OURS].most.rate / alone}
    for name, each in found.items():
        figures |= {
            f"{name}_images_per_s": each.most.rate,
            f"{name}_p99_ms_saturated": each.most.percentile(99),
            f"{name}_refused": {
                f"{100 * share:.0f} %": answered.statuses.get(429, 0) / sum(answered.statuses.values())
                for share, answered in each.shares.items()
            },
            f"{name}_latency_ms": {
                f"{100 * share:.0f} %": {f"p{p}": answered.percentile(p) for p in (50, 95, 99)}
                for share, answered in each.shares.items()
            },
        }
    calm = found[OURS].shares[CALM].percentile(99)
    answered = overloaded.answered
    return figures | {
        "overload_p99_ms": answered.percentile(99),
        "overload_p99_to_calm": answered.percentile(99) / calm,
        "overload_statuses": {str(status): count for status, count in sorted(answered.statuses.items())},
        "overload_429_without_retry_after": answered.without_retry_after,
        "overload_images_per_s": answered.rate,
        "overload_grown_mib": overloaded.grown_mib,
    }


def _table(alone: float, found: dict[str, Measured], overloaded: Overloaded) -> str:
    most = [[BARE, f"{alone:.2f}", "", ""]]
    most += [
        [name, f"{each.most.rate:.2f}", f"{each.most.rate / alone:.3f}", f"{each.most.percentile(99):.0f}"]
        for name, each in found.items()
    ]
    shares = [
        [name, *(_middle_and_worst(answered) for answered in each.shares.values())]
        for name, each in found.items()
    ]
    answered, calm = overloaded.answered, found[OURS].shares[CALM].percentile(99)
    statuses = ", ".join(f"{count} with {status}" for status, count in sorted(answered.statuses.items()))
    return "\n".join(
        [
            table([f"{CLIENTS} clients that never wait", "images/s", "to bare", "p99 ms"], most),
            "",
            table(["p50 / p99 in ms, at", *(f"{100 * share:.0f} %" for share in SHARES)], shares),
            "",
            f"{OURS} at {OVERLOAD:g} times as much: {answered.rate:.2f} images/s, {statuses}, p99 "
            f"{answered.percentile(99):.0f} ms, {answered.percentile(99) / calm:.2f} of that at "
            f"{100 * CALM:.0f} %",
            f"memory {overloaded.grown_mib:+.0f} MiB",
        ]
    )


def _middle_and_worst(answered: Answered) -> str:
    return f"{answered.percentile(50):.0f} / {answered.percentile(99):.0f}"


if __name__ == "__main__":
    serve({"bare": bare})
