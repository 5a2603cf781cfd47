"""From single answers, arriving in any order, to whole shards of captions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from t2ipal.captions.accept import first_accepted
from t2ipal.captions.plan import CaptionPlan
from t2ipal.seeds import derive_seed
from t2ipal.tables import CAPTIONS
from t2ipal.vocabulary import Vocabulary

_KEPT = 3  # rejected captions of a shard


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


def row_of(caption_id: str) -> int:
    """Return the row in which the caption with a key was planned."""
    return int(caption_id.removeprefix("c"))


def answer_seed(seed: int, index: int, candidate: int) -> int:
    """Return the sampling seed of one answer, in [0, 2**63)."""
    return derive_seed(seed, caption_id(index), candidate)


@dataclass
class _OpenShard:
    """A shard that lacks answers: its captions of earlier attempts, by row, and the answers that came."""

    before: dict[int, dict[str, object]]
    texts: dict[tuple[int, int], str] = field(default_factory=dict)


@dataclass
class Collector:
    """Gathers answers by shard and makes the table of a shard once all its answers are there.

    `candidates` answers are expected for every planned row without a caption: at attempt a, from 1, those
    with the numbers from (a - 1) x candidates on.
    """

    plan: CaptionPlan
    vocabulary: Vocabulary
    candidates: int
    model: str
    attempt: int = 1
    before: Callable[[str], pa.Table] = lambda shard: CAPTIONS.empty_table()
    """Returns the captions that a shard has from earlier attempts."""
    failed: int = 0
    """Number of answers that failed. A shard with one of them is never complete."""
    failure: str = ""
    """The reason of the first one."""
    rejections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Of each shard some captions that were not accepted: the "classes" asked for, and an "answer"."""
    _open: dict[str, _OpenShard] = field(default_factory=dict)

    def add(self, answer: Answer) -> pa.Table | None:
        """Take one answer; if it was the last one missing, return its shard's table (schema CAPTIONS)."""
        if answer.error:
            self.failed += 1
            self.failure = self.failure or answer.error
            return None
        if answer.shard not in self._open:
            rows = self.before(answer.shard).to_pylist()
            self._open[answer.shard] = _OpenShard({row_of(row["caption_id"]): row for row in rows})
        shard = self._open[answer.shard]
        shard.texts[answer.index, answer.candidate] = answer.text
        asked = len(self.plan.rows(answer.shard)) - len(shard.before)
        if len(shard.texts) < asked * self.candidates:
            return None
        return self._table(answer.shard, self._open.pop(answer.shard))

    def _table(self, name: str, shard: _OpenShard) -> pa.Table:
        rows, rejected = [], []
        for index in self.plan.rows(name):
            if (row := shard.before.get(index) or self._row(index, shard.texts)) is not None:
                rows.append(row)
            else:
                rejected.append(self._rejection(index, shard.texts))
        if rejected:
            named = {self.vocabulary.names[i] for row in rows for i in cast(list[int], row["labels"])}
            # Those of classes that no caption names are what somebody will look for.
            rejected.sort(key=lambda each: named.issuperset(each["classes"]))
            self.rejections[name] = rejected[:_KEPT]
        return pa.Table.from_pylist(rows, schema=CAPTIONS)

    def _rejection(self, index: int, texts: Mapping[tuple[int, int], str]) -> dict[str, Any]:
        asked = [self.vocabulary.names[i] for i in sorted(self.plan.classes(index))]
        return {"classes": asked, "answer": texts[index, (self.attempt - 1) * self.candidates]}

    def _row(self, index: int, texts: Mapping[tuple[int, int], str]) -> dict[str, object] | None:
        first = (self.attempt - 1) * self.candidates
        answers = [texts[index, candidate] for candidate in range(first, first + self.candidates)]
        requested = self.plan.classes(index)
        accepted = first_accepted(answers, requested, self.vocabulary)
        if accepted is None:
            return None
        position, text = accepted
        return {
            "caption_id": caption_id(index),
            "text": text,
            "labels": sorted(requested),  # what acceptance means
            "requested": sorted(requested),
            "source": "llm",
            "model": self.model,
            "seed": answer_seed(self.plan.seed, index, first + position),
        }
