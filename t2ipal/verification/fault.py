"""What can be wrong with a shard."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["missing", "torn", "changed", "foreign"]
"""missing: planned, and not there or not finished.
torn: a file that is cut short, or that was never one of its kind.
changed: whole, but not what was written, or not what the recipe and the tables before it call for.
foreign: nothing that this run's recipe has made.
"""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a table."""

    kind: Kind
    table: str
    name: str
    """Of the shard; of a file that belongs to none, with its ending."""
    reason: str

    def __str__(self) -> str:
        return f"{self.kind:<7}  {self.table}/{self.name}: {self.reason}"
