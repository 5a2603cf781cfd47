"""What can be wrong with a shard, or with another file of a run."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["missing", "torn", "changed", "foreign", "stray"]
"""missing: planned, and not there or not finished.
torn: a file that is cut short, or that was never one of its kind.
changed: whole, but not what was written, or not what the recipe and the tables before it call for.
foreign: nothing that this run's recipe has made, in a place where it passes for that.
stray: a file that no job writes, where no reader of the run takes it for a part of it.
"""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a table or another folder."""

    kind: Kind
    table: str
    name: str
    """Of the shard; of a file that belongs to none, with its ending."""
    reason: str
    remove: tuple[str, ...] | None = None
    """The files, in this order, without which the next job makes it again; none of what a person may want to
    keep. None: those of the shard.
    """

    @property
    def is_harmless(self) -> bool:
        """Whether what the run was to hold is right all the same."""
        return self.kind == "stray"

    def __str__(self) -> str:
        place = f"{self.table}/" if self.table else ""
        return f"{self.kind:<7}  {place}{self.name}: {self.reason}"
