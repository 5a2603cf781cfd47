"""Requests to an endpoint, at a rate or as many as it can answer, and how long each took."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Answered:
    """The requests of a while."""

    seconds: float
    latencies: tuple[float, ...]  # of those with status 200, in seconds
    statuses: dict[int, int]  # status -> requests; 0: no answer
    without_retry_after: int  # of those with 429

    @property
    def rate(self) -> float:
        """Requests answered with 200 a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Of the latencies, in milliseconds."""
        return 1000 * float(np.percentile(self.latencies, percent)) if self.latencies else float("nan")


@dataclass(frozen=True)
class Target:
    """Where requests go, and the bodies that they have by turns."""

    url: str
    kind: str  # Content-Type
    bodies: Sequence[bytes]


@dataclass
class _Seen:
    latencies: list[float]
    statuses: Counter[int]
    without_retry_after: int = 0


Work = Callable[[aiohttp.ClientSession, _Seen], Awaitable[None]]


def saturate(target: Target, concurrency: int, seconds: float) -> Answered:
    """Have so many clients ask, each again as soon as it is answered."""

    async def work(session: aiohttp.ClientSession, seen: _Seen) -> None:
        end = time.monotonic() + seconds

        async def client(number: int) -> None:
            turn = number
            while time.monotonic() < end:
                await _ask(session, target, turn, seen)
                turn += concurrency

        await asyncio.gather(*(client(number) for number in range(concurrency)))

    return asyncio.run(_measured(work))


def at_rate(target: Target, rate: float, seconds: float, seed: int = 0) -> Answered:
    """Ask at random moments, `rate` times a second in the mean, whatever is still unanswered."""

    async def work(session: aiohttp.ClientSession, seen: _Seen) -> None:
        moments = random.Random(seed)
        at, start, tasks = 0.0, time.monotonic(), []
        while at < seconds:
            await asyncio.sleep(max(start + at - time.monotonic(), 0))
            tasks.append(asyncio.create_task(_ask(session, target, len(tasks), seen)))
            at += moments.expovariate(rate)
        await asyncio.gather(*tasks)

    return asyncio.run(_measured(work))


async def _measured(work: Work) -> Answered:
    seen = _Seen([], Counter())
    limit = aiohttp.ClientTimeout(TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limit) as session:
        start = time.monotonic()
        await work(session, seen)
        seconds = time.monotonic() - start
    return Answered(seconds, tuple(seen.latencies), dict(seen.statuses), seen.without_retry_after)


async def _ask(session: aiohttp.ClientSession, target: Target, turn: int, seen: _Seen) -> None:
    body, headers = target.bodies[turn % len(target.bodies)], {"Content-Type": target.kind}
    start = time.monotonic()
    try:
        async with session.post(target.url, data=body, headers=headers) as response:
            await response.read()
            status = response.status
            seen.without_retry_after += status == 429 and "retry-after" not in response.headers
    except (aiohttp.ClientError, TimeoutError):
        status = 0
    seen.statuses[status] += 1
    if status == 200:
        seen.latencies.append(time.monotonic() - start)
