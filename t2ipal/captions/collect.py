"""From single answers, arriving in any order, to whole shards of captions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from t2ipal.captions.accept import first_accepted
from t2ipal.captions.plan import CaptionPlan
from t2ipal.seeds import derive_seed
from t2ipal.tables import CAPTIONS
from t2ipal.vocabulary import Vocabulary


@dataclass(frozen=True)
class Answer:
    """One sample of the model for one planned row; `error` says why there is no text, or is empty."""

    shard: str
    index: int
    candidate: int
    text: str
    error: str = ""


def caption_id(index: int) -> str:
    """Return the key of the caption planned in row `index`."""
    return f"c{index:08d}"


def answer_seed(seed: int, index: int, candidate: int) -> int:
    """Return the sampling seed of one answer, in [0, 2**63)."""
    return derive_seed(seed, caption_id(index), candidate)


@dataclass
class Collector:
    """Gathers answers by shard and makes the table of a shard once all its answers are there.

    `candidates` answers are expected for every planned row.
    """

    plan: CaptionPlan
    vocabulary: Vocabulary
    candidates: int
    model: str
    failures: list[str] = field(default_factory=list)
    """Reasons of the answers that failed. A shard with one of them is never complete."""
    rejected: str = ""
    """An answer that was not accepted, if there was one."""
    _open: dict[str, dict[tuple[int, int], str]] = field(default_factory=dict)

    def add(self, answer: Answer) -> pa.Table | None:
        """Take one answer; if it was the last one missing, return its shard's table (schema CAPTIONS)."""
        if answer.error:
            self.failures.append(answer.error)
            return None
        texts = self._open.setdefault(answer.shard, {})
        texts[answer.index, answer.candidate] = answer.text
        if len(texts) < len(self.plan.rows(answer.shard)) * self.candidates:
            return None
        return self._table(answer.shard, self._open.pop(answer.shard))

    def _table(self, shard: str, texts: dict[tuple[int, int], str]) -> pa.Table:
        rows = [
            self._row(index, [texts[index, candidate] for candidate in range(self.candidates)])
            for index in self.plan.rows(shard)
        ]
        return pa.Table.from_pylist([row for row in rows if row is not None], schema=CAPTIONS)

    def _row(self, index: int, answers: Sequence[str]) -> dict[str, object] | None:
        requested = self.plan.classes(index)
        accepted = first_accepted(answers, requested, self.vocabulary)
        if accepted is None:
            self.rejected = self.rejected or answers[0]
            return None
        candidate, text = accepted
        return {
            "caption_id": caption_id(index),
            "text": text,
            "labels": sorted(requested),  # what acceptance means
            "requested": sorted(requested),
            "source": "llm",
            "model": self.model,
            "seed": answer_seed(self.plan.seed, index, candidate),
        }
