"""A stage and the bare engine by turns, and how they compare."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from jobs.benchmarks.report import table
from jobs.console import say
from jobs.machine import load

Side = Callable[[], float]
"""Measures one round and returns seconds for each row."""


@dataclass(frozen=True)
class Rounds:
    """Seconds for each row, a value for each round."""

    bare: tuple[float, ...]
    stage: tuple[float, ...]
    load: float
    """Of the machine before the first round; what else runs on it makes the figures worth less."""

    @property
    def ratio(self) -> float:
        """The stage's speed as a share of the bare engine's, of medians."""
        return median(self.bare) / median(self.stage)

    def figures(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "ratio_to_bare": self.ratio,
            "ratios_of_rounds": [bare / stage for bare, stage in zip(self.bare, self.stage, strict=True)],
            "bare_rows_per_s": 1 / median(self.bare),
            "stage_rows_per_s": 1 / median(self.stage),
            "bare_s_per_row": list(self.bare),
            "stage_s_per_row": list(self.stage),
            "load_before": self.load,
        }

    def table(self, engine: str) -> str:
        """Return the figures for people; `engine` is the bare one's name."""
        sides = {engine: self.bare, "the stage": self.stage}
        numbers = [f"round {i + 1}" for i in range(len(self.bare))]
        rows = [
            [name, *(f"{1 / value:.2f}" for value in values), f"{1 / median(values):.2f}"]
            for name, values in sides.items()
        ]
        found = table(["rows per second", *numbers, "median"], rows)
        return f"{found}\nratio to bare {self.ratio:.3f} (load of the machine before: {self.load:.1f})"


def by_turns(bare: Side, stage: Side, rounds: int) -> Rounds:
    """Measure bare, stage, bare, stage, ... so that whatever drifts meets both."""
    before = load()
    seconds: dict[str, list[float]] = {"bare": [], "stage": []}
    for number in range(1, rounds + 1):
        for name, side in (("bare", bare), ("stage", stage)):
            seconds[name].append(side())
            say(f"round {number} of {rounds}, {name}: {1 / seconds[name][-1]:.2f} rows per second")
    return Rounds(tuple(seconds["bare"]), tuple(seconds["stage"]), before)
