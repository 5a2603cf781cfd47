"""One step of tuning beside the published step in plain PyTorch: the same weights, batch and cores, by turns.

Both must rank the same scores and leave the same gradients; weights are drawn, images' features too.
"""

import math
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobs.benchmarks.process import measured, serve
from jobs.benchmarks.report import Report, table
from jobs.benchmarks.rounds import by_turns
from jobs.benchmarks.tuning_size import Size
from jobs.console import say
from jobs.machine import cores
from t2ipal.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from jobs.benchmarks.tuning_plain import PlainStep
    from jobs.benchmarks.tuning_step import OurStep, Problem

COMMAND = "tuning"
MODULE = "jobs.benchmarks.tuning"

# The classes of COCO and the published batch, but of PVP a quarter of both. Its pseudo images must pass the
# tower all at once on both sides: a GPU's convolutions of other batch sizes round otherwise, and through
# that many ReLUs the gradient is too ill-conditioned to be compared then. On CPUs fewer rows of T2I-PAL: as
# much as two cores do in a minute or two, nearly all of which is the plain side's.
_PVP = {"pvp_pretrain": Size(20, 128), "pvp": Size(20, 128)}
COMPARED = {
    "cpu": {"tai_dpt": Size(80, 512), **_PVP, "t2i_pal": Size(80, 64)},
    "cuda": {"tai_dpt": Size(80, 512), **_PVP, "t2i_pal": Size(80, 512)},
}
STEPS_A_ROUND = {"cpu": 1, "cuda": 10}
SCALED = "t2i_pal"
CLASSES = (20, 80, 1000, 6000)
BATCHES = (64, 512)
BATCH, CLASSES_OF_BATCHES = 512, 80
TOLERANCE = 1e-4  # of scores and of gradients, as a share of the largest one
_GIB = 2**30


def benchmark(
    rounds: int,
    device: str = "cpu",
    compared: Mapping[str, Size] | None = None,
    scaled: Sequence[Size] | None = None,
) -> Report:
    """Compare each step with the plain one on torch's `device`, then take T2I-PAL's with ever more classes
    and rows.
    """
    compared = COMPARED[device] if compared is None else compared
    found = {name: _compared(name, size, rounds, device) for name, size in compared.items()}
    sizes = _sizes() if scaled is None else scaled
    steps = {str(size): _step(SCALED, size, device) for size in sizes}
    figures: dict[str, Any] = {}
    for name, each in found.items():
        figures[f"{name}_speedup"] = each["ratio_to_plain"]
        figures |= {f"{name}_{key}": value for key, value in each.items() if key != "ratio_to_plain"}
    figures |= {
        f"{SCALED}_{key}_at_{size.classes}_classes_batch_{size.batch}": steps[str(size)][key]
        for size in sizes
        for key in ("seconds", "peak_gib")
    }
    settings = {
        **{name: str(size) for name, size in compared.items()},
        "weights": "random",
        "dtype": "float32",
        "device": device,
        "threads": cores(),
        "rounds": rounds,
        "steps a round": STEPS_A_ROUND[device],
        "tolerance": TOLERANCE,
    }
    return Report(COMMAND, settings, figures, _table(compared, found, steps))


def _sizes() -> list[Size]:
    sizes = [Size(classes, BATCH) for classes in CLASSES]
    return sizes + [Size(CLASSES_OF_BATCHES, batch) for batch in BATCHES if batch != BATCH]


def _table(
    compared: Mapping[str, Size], found: Mapping[str, dict[str, Any]], steps: Mapping[str, dict[str, Any]]
) -> str:
    speed = [
        [
            f"{name} ({compared[name]})",
            f"{each['plain_s']:.2f}",
            f"{each['s']:.2f}",
            f"{each['ratio_to_plain']:.1f}",
            f"{each['plain_peak_gib']:.2f}",
            f"{each['peak_gib']:.2f}",
            f"{each['scores_differ']:.0e}",
            f"{each['gradients_differ']:.0e}",
        ]
        for name, each in found.items()
    ]
    head = ["step", "plain s", "ours s", "times faster", "plain GiB", "ours GiB", "scores", "gradients"]
    scale = [[size, f"{each['seconds']:.2f}", f"{each['peak_gib']:.2f}"] for size, each in steps.items()]
    return "\n\n".join([table(head, speed), table([f"{SCALED}, ours", "s", "GiB at most"], scale)])


def _compared(name: str, size: Size, rounds: int, device: str) -> dict[str, Any]:
    asked = {"name": name, "size": asdict(size), "rounds": rounds, "device": device}
    found = measured(MODULE, "compare", asked)
    for side, key in (("plain", "plain_peak_gib"), ("ours", "peak_gib")):
        found[key] = _step(name, size, device, side)["peak_gib"]
    say(f"{name}, {size}: {found['ratio_to_plain']:.1f} times as fast as plain PyTorch")
    return found


def _step(name: str, size: Size, device: str, side: str = "ours") -> dict[str, Any]:
    asked = {"name": name, "size": asdict(size), "side": side, "device": device}
    found = measured(MODULE, "step", asked)
    say(f"{name}, {size}, {side}: {found['seconds']:.1f} s, {found['peak_gib']:.2f} GiB at most")
    return found


def compare(name: str, size: dict[str, Any], rounds: int, device: str = "cpu") -> dict[str, Any]:
    """Take both sides' first steps and compare what they come to, then time further ones by turns."""
    from jobs.benchmarks.tuning_plain import PlainStep

    given, ours = _ours(name, size, device, encoded=True)
    plain = PlainStep(given, ours, name)
    scores = differ(ours(0), plain(0))
    gradients = differ(ours.gradients(), plain.gradients())
    for what, difference in (("scores", scores), ("gradients", gradients)):
        if not difference <= TOLERANCE:
            raise UserError(
                f"{what} of {name} differ from the plain step's by {difference:.1e} of the largest one",
                "find which of both steps is wrong before their times are compared",
            )

    steps = STEPS_A_ROUND[device]

    def side(step: "OurStep | PlainStep") -> float:
        return _seconds(step, steps, device) / steps / given.size.batch

    found = by_turns(lambda: side(plain), lambda: side(ours), rounds)
    figures = found.figures()
    return {
        "ratio_to_plain": found.ratio,
        "ratios_of_rounds": figures["ratios_of_rounds"],
        "plain_s": given.size.batch / figures["bare_rows_per_s"],
        "s": given.size.batch / figures["stage_rows_per_s"],
        "scores_differ": scores,
        "gradients_differ": gradients,
        "load_before": found.load,
    }


def differ(ours: Mapping[str, "Tensor"], plain: Mapping[str, "Tensor"]) -> float:
    """Return the largest difference of any two tensors of the same name, as a share of the largest value of
    the plain one; NaN where that is zero or a value is none.
    """
    if ours.keys() != plain.keys():
        raise UserError(f"one side has {sorted(ours)}, the other {sorted(plain)}", "compare the same method")
    shares = [float((ours[name] - each).abs().max() / each.abs().max()) for name, each in plain.items()]
    return max(shares, key=lambda share: (math.isnan(share), share))


def step(name: str, size: dict[str, Any], side: str, device: str = "cpu") -> dict[str, Any]:
    """Take one step, and see how long it takes and how much memory this process has held at most: the GPU's,
    on one.
    """
    from jobs.benchmarks.tuning_plain import PlainStep

    given, ours = _ours(name, size, device, encoded=False)
    taken = PlainStep(given, ours, name) if side == "plain" else ours
    if device != "cpu":
        taken(0)  # a GPU's first one loads its kernels
    return {"seconds": _seconds(taken, 1, device), "peak_gib": _peak_bytes(device) / _GIB}


def _seconds(step: "OurStep | PlainStep", steps: int, device: str) -> float:
    _wait(device)
    begun = time.perf_counter()
    for _ in range(steps):
        step(0)
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: str) -> None:
    """Let a GPU finish what it has been given."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def _peak_bytes(device: str) -> int:
    import torch

    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _ours(name: str, size: dict[str, Any], device: str, encoded: bool) -> tuple["Problem", "OurStep"]:
    import torch

    from jobs.benchmarks.tuning_step import OurStep, problem

    torch.set_num_threads(cores())
    given = problem(Size(**size), encoded, device)
    return given, OurStep(given, name)


if __name__ == "__main__":
    serve({"compare": compare, "step": step})
