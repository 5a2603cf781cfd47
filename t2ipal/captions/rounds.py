"""From missing shards to finished ones: captions are asked for, some again, and compared."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pyarrow as pa

from t2ipal.captions.collect import Collector, row_of
from t2ipal.captions.drafts import Drafts
from t2ipal.captions.duplicates import repeats
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.requests import Ask, CaptionRequests
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.shards import Shards
from t2ipal.vocabulary import Vocabulary
from t2ipal.watch import Progress, Watch, unwatched


@dataclass(frozen=True)
class Rounds:
    """Writes shards of captions. `ask` reaches the language model.

    A shard is committed as soon as it needs no further attempt; if duplicates are dropped, when all shards
    have come so far. Until then it is a draft.
    """

    captions: CaptionsRecipe
    plan: CaptionPlan
    vocabulary: Vocabulary
    shards: Shards
    ask: Ask
    watch: Watch = unwatched

    @cached_property
    def drafts(self) -> Drafts:
        """What is not committed yet."""
        return Drafts.of(self.plan, self.shards)

    def complete(self, missing: Sequence[str]) -> None:
        """Write the missing shards.

        If the model fails on single answers the attempt is finished for all other shards, and then a
        UserError says how many failed.
        """
        self.drafts.sweep(missing)
        for attempt in range(1, self.captions.attempts + 1):
            if names := self.drafts.waiting(missing, attempt):
                self._attempt(attempt, names)
        if self.captions.drop_similar is not None:
            self._commit_distinct(missing, self.captions.drop_similar)

    def _attempt(self, attempt: int, names: Sequence[str]) -> None:
        counts = {name: manifest.extra["accepted"] for name, manifest in self.drafts.shards.done().items()}
        collector = Collector(
            self.plan,
            self.vocabulary,
            self.captions.candidates,
            self.captions.model,
            attempt,
            partial(self.drafts.before, attempt=attempt),
        )
        unanswered, rejected = set(names), 0
        asked = self.captions.candidates * sum(
            len(self.plan.rows(name)) - sum(counts.get(name, [])) for name in names
        )
        again = {"attempt": attempt} if attempt > 1 else {}
        requests = CaptionRequests(self.captions, self.vocabulary, self.drafts, attempt)
        with closing(self.ask(names, requests)) as answers:
            for number, answer in enumerate(answers, 1):
                if (table := collector.add(answer)) is not None:
                    before = counts.get(answer.shard, [])
                    accepted = [*before, table.num_rows - sum(before)]
                    self._keep(answer.shard, table, accepted, collector.rejections.get(answer.shard, []))
                    unanswered.discard(answer.shard)
                    rejected += len(self.plan.rows(answer.shard)) - table.num_rows
                self.watch(Progress(number, asked, "answers", {**again, "rejected": rejected}))
        if collector.failed:
            raise UserError(
                f"captions: the language model failed on {collector.failed} answers, "
                f"the first one with {collector.failure}",
                "correct the cause and run again: finished shards are kept, only others are written again",
            )
        if unanswered:
            raise UserError(
                f"captions: the answers of the language model ended, and {len(unanswered)} shards lack some, "
                f"{min(unanswered)!r} for one",
                "run again: finished shards are kept, only others are written again",
            )

    def _keep(
        self, name: str, table: pa.Table, accepted: list[int], rejections: list[dict[str, Any]]
    ) -> None:
        extra = {"accepted": accepted} | ({"rejections": rejections} if rejections else {})
        ended = table.num_rows == len(self.plan.rows(name)) or len(accepted) == self.captions.attempts
        if ended and self.captions.drop_similar is None:
            self._commit(name, table, extra)
        else:
            self.drafts.shards.write(name, table, extra)

    def _commit_distinct(self, missing: Sequence[str], similarity: float) -> None:
        """Commit all drafts without what repeats an earlier caption, which may be committed already."""
        drafts = set(missing)
        found = repeats(
            self.plan.shards(),
            lambda name: (self.drafts.shards if name in drafts else self.shards).read(name),
            self.plan.count,
            similarity,
        )
        manifests = self.drafts.shards.done()
        for name in missing:
            table = self.drafts.shards.read(name)
            kept = [not found[row_of(each)] for each in table.column("caption_id").to_pylist()]
            self._commit(name, table.filter(pa.array(kept, pa.bool_())), manifests[name].extra)

    def _commit(self, name: str, table: pa.Table, extra: dict[str, Any]) -> None:
        asked, accepted = len(self.plan.rows(name)), sum(extra["accepted"])
        figures = {"asked": asked, "kept": table.num_rows, "rejected": asked - accepted}
        self.shards.write(name, table, figures | {"duplicates": accepted - table.num_rows} | extra)
        if self.captions.attempts > 1 or self.captions.drop_similar is not None:
            self.drafts.shards.delete([name])
