"""How fast answers come from the language model, apart from how long the first ones are waited for."""

from array import array
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

from t2ipal.captions.collect import Answer
from t2ipal.captions.requests import Ask, MakeRequests

# Share of the answers that the rate is not taken from: those that wait for the engine to fill up.
FIRST = 0.125


@dataclass
class Arrivals:
    """Reaches the language model through `ask`, and keeps the times of the answers."""

    ask: Ask
    answers: int = 0
    seconds: float = 0.0
    """All answers would have taken so long at the rate at which most of them came."""

    def __call__(self, shards: Sequence[str], make_requests: MakeRequests) -> Generator[Answer]:
        """Yield the answers to all requests of some shards, as `ask` does."""
        times = array("d")  # 8 bytes an answer
        with closing(self.ask(shards, make_requests)) as answers:
            for answer in answers:
                times.append(monotonic())
                yield answer
        self.answers += len(times)
        self.seconds += steady_seconds(times)


def steady_seconds(times: Sequence[float]) -> float:
    """Return the seconds that all answers take at the rate of those behind the first ones, from the times at
    which they came, in order.
    """
    first = int(len(times) * FIRST)
    if len(times) - 1 <= first:
        return 0.0
    return (times[-1] - times[first]) * len(times) / (len(times) - 1 - first)
