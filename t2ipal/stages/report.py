"""What a stage says about itself when it has finished."""

from dataclasses import dataclass, field

from t2ipal.stages.effort import Effort


@dataclass(frozen=True)
class StageReport:
    """Counts of one run of a stage. `seconds` is wall time; `notes` are further figures of that stage."""

    stage: str
    rows: int
    """Rows in the stage's output, those of earlier runs included."""
    shards_total: int
    shards_done_before: int
    seconds: float
    notes: dict[str, float | int | str] = field(default_factory=dict)
    warning: str = ""
    """What the user should know before what follows is paid for."""
    made_anew: str = ""
    """What was gone or damaged beside finished rows, and was made from them again."""
    effort: Effort = field(default_factory=Effort)
    """Of this run."""

    @property
    def already_complete(self) -> bool:
        """Whether this run had nothing to do."""
        return self.shards_done_before == self.shards_total
