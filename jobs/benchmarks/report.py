"""What a benchmark prints and writes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.machine import machine, versions


@dataclass(frozen=True)
class Report:
    """The outcome of one command."""

    command: str
    settings: dict[str, Any]
    """What was measured: model, rows, batch and the like."""
    figures: dict[str, Any]
    table: str
    """The figures for people."""

    def content(self) -> dict[str, Any]:
        """Return all of it, with the machine and the versions, as plain data."""
        return {
            "command": self.command,
            "machine": machine(),
            "versions": versions(),
            "settings": self.settings,
            "figures": self.figures,
        }

    def text(self) -> str:
        """Return all of it for people."""
        content = self.content()
        hardware = content["machine"]
        gpus = ", ".join(hardware["gpus"]) or "no GPU"
        return "\n".join(
            [
                f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB, {gpus}",
                _pairs(content["versions"]),
                _pairs(self.settings),
                self.table,
            ]
        )

    def write(self, path: Path) -> None:
        """Write the content as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.content(), indent=2) + "\n")


def from_here(model: str) -> str:
    """Return a model's name; of a folder below the current one the path from there on."""
    return str(Path(model).relative_to(Path.cwd())) if Path(model).is_relative_to(Path.cwd()) else model


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return lines with the first column to the left and the others to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
