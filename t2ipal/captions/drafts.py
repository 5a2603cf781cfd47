"""Captions of shards that are not finished: what was accepted so far, kept in the run between attempts.

So neither a second attempt nor the search for duplicates, which needs all shards, holds a run's captions in
memory, and a job that was killed goes on with the attempt in which it was.

What a draft says ends up in a shard of captions, with a manifest that vouches for it. So a job that goes on
reads every draft whole, once, and begins anew where one is not what was written.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

import pyarrow as pa

from t2ipal.captions.collect import row_of
from t2ipal.captions.plan import CaptionPlan
from t2ipal.run_files import CAPTION_DRAFTS
from t2ipal.shards import Shards
from t2ipal.tables import CAPTIONS

_READERS = 8  # drafts at once


@dataclass(frozen=True)
class Drafts:
    """A table beside that of the captions, with shards of the same names. Small and picklable."""

    plan: CaptionPlan
    shards: Shards
    """Their manifests' `extra` has `accepted`: the number of captions accepted at each attempt."""

    @classmethod
    def of(cls, plan: CaptionPlan, captions: Shards) -> Self:
        """Return the drafts of a table of captions."""
        return cls(plan, replace(captions, stage=CAPTION_DRAFTS))

    def waiting(self, names: Sequence[str], attempt: int) -> list[str]:
        """Return those of the names whose `attempt`-th attempt, from 1, is the next one."""
        accepted = {name: manifest.extra["accepted"] for name, manifest in self.shards.done().items()}
        return [
            name
            for name in names
            if len(counts := accepted.get(name, [])) == attempt - 1
            and sum(counts) < len(self.plan.rows(name))
        ]

    def before(self, name: str, attempt: int) -> pa.Table:
        """Return the captions of a shard that were accepted before an attempt (schema CAPTIONS)."""
        return CAPTIONS.empty_table() if attempt == 1 else self.shards.read(name)

    def open_rows(self, name: str, attempt: int) -> list[int]:
        """Return the rows of a shard that have no caption before an attempt."""
        ids = self.before(name, attempt).column("caption_id").to_pylist()
        accepted = {row_of(each) for each in ids}
        return [row for row in self.plan.rows(name) if row not in accepted]

    def sweep(self, missing: Sequence[str]) -> None:
        """Remove all that a job cannot go on with: drafts of other shards than the missing ones, of another
        recipe, and those that are not, byte for byte, what was written.
        """
        drafts = {name: each for name, each in self.shards.done().items() if name in set(missing)}
        with ThreadPoolExecutor(_READERS) as pool:
            whole = dict(zip(drafts, pool.map(self.shards.is_whole, drafts, drafts.values()), strict=True))
        self.shards.delete(name for name in self.shards.written() if not whole.get(name, False))
