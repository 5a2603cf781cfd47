"""Where the time of our steps of tuning goes, operator by operator."""

import time
from dataclasses import asdict
from operator import attrgetter
from typing import Any

from jobs.benchmarks.process import measured, serve
from jobs.benchmarks.report import Report, table
from jobs.benchmarks.tuning_size import Size
from jobs.machine import cores, load

COMMAND = "tuning-profile"
MODULE = "jobs.benchmarks.tuning_profile"
SIZES = (
    ("tai_dpt", Size(80, 512)),
    ("t2i_pal", Size(80, 512)),
    ("t2i_pal", Size(6000, 64)),
    ("pvp_pretrain", Size(20, 64)),
)
MOST = 8  # operators of a step


def benchmark(device: str = "cpu", steps: tuple[tuple[str, Size], ...] = SIZES) -> Report:
    """Profile each step on torch's `device`."""
    before = load()
    figures = {
        f"{name}, {size}": measured(MODULE, "profile", {"name": name, "size": asdict(size), "device": device})
        for name, size in steps
    }
    settings = {
        "weights": "random",
        "dtype": "float32",
        "device": device,
        "threads": cores(),
        "side": "ours",
        "load": before,
    }
    return Report(COMMAND, settings, figures, "\n\n".join(map(_table, figures, figures.values())))


def _table(step: str, found: dict[str, Any]) -> str:
    rows = [[each["operator"], f"{100 * each['share']:.1f} %", str(each["calls"])] for each in found["top"]]
    return table([f"{step}: {found['seconds']:.2f} s", "of it", "calls"], rows)


def profile(name: str, size: dict[str, Any], device: str = "cpu") -> dict[str, Any]:
    """Take a step to warm up, and another one under PyTorch's profiler; the time is the device's own."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from jobs.benchmarks.tuning_step import OurStep, problem

    torch.set_num_threads(cores())
    step = OurStep(problem(Size(**size), encoded=False, device=device), name)
    step(0)
    on_gpu = device != "cpu"
    with profiler(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
        begun = time.perf_counter()
        step(0)
        if on_gpu:
            torch.cuda.synchronize()
        wall = time.perf_counter() - begun
    own = attrgetter("self_device_time_total" if on_gpu else "self_cpu_time_total")  # microseconds
    events = sorted(seen.key_averages(), key=own, reverse=True)
    total = sum(map(own, events))
    top = [
        {"operator": event.key, "share": round(own(event) / total, 4), "calls": event.count}
        for event in events[:MOST]
    ]
    return {"seconds": round(total / 1e6, 3), "wall_s": round(wall, 3), "top": top}


if __name__ == "__main__":
    serve({"profile": profile})
