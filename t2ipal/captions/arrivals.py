"""How fast answers come from the language model, apart from how long the first ones are waited for."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic

from t2ipal.captions.collect import Answer
from t2ipal.captions.requests import Ask, MakeRequests

# Shards that end within so small a share of the time before them were written side by side.
TOGETHER = 0.1


@dataclass
class Arrivals:
    """Reaches the language model through `ask`, and keeps the times of the answers."""

    ask: Ask
    answers: int = 0
    seconds: float = 0.0
    """All answers would have taken so long at the rate at which most of them came."""

    def __call__(self, shards: Sequence[str], make_requests: MakeRequests) -> Generator[Answer]:
        """Yield the answers to all requests of some shards, as `ask` does."""
        start = monotonic()
        ends: dict[str, tuple[float, int]] = {}  # of a shard: when its last answer came, how many it has
        with closing(self.ask(shards, make_requests)) as answers:
            for answer in answers:
                _, count = ends.get(answer.shard, (0.0, 0))
                ends[answer.shard] = monotonic(), count + 1
                yield answer
        self.answers += sum(count for _, count in ends.values())
        self.seconds += steady_seconds(start, list(ends.values()))


def steady_seconds(start: float, ends: Sequence[tuple[float, int]]) -> float:
    """Return the seconds that all answers take at the rate of those behind the first shards.

    Of each shard `ends` has the time of its last answer and the number of them: Ray Data hands them over
    together, and those of shards that are written side by side at nearly the same time. Where all of them are
    so, the time is that from `start` on, with the start of the engine in it.
    """
    if not ends:
        return 0.0
    ends = sorted(ends)
    times = [time for time, _ in ends]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if times[-1] - times[0] <= TOGETHER * (times[0] - start):
        return times[-1] - start
    first = next(place for place, gap in enumerate(gaps, 1) if gap >= max(gaps) / 2)
    answers, behind = (sum(count for _, count in some) for some in (ends, ends[first:]))
    return (times[-1] - times[first - 1]) * answers / behind
