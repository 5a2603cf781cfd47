"""Batches for a model that computes one at a time.

Ray Serve's own (`serve.batch`) close a batch as soon as its time is over, also while the model is busy, and
so make many small ones under load. These are made when the model is free, of all that waits by then.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """Has items computed together, in the order in which they came: at most `most` at a time."""

    def __init__(
        self, compute: Callable[[list[Item]], Awaitable[Sequence[Result]]], most: int, wait_s: float
    ) -> None:
        """`compute` returns a result for each item; `wait_s` is how long a free model waits for more."""
        self._compute, self._most, self._wait_s = compute, most, wait_s
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._full = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """Return an item's result, or raise what its batch raises. One that is cancelled leaves the queue."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._most:
            self._full.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Compute batches until nothing waits."""
        while self._waiting:
            await self._filled()
            if batch := self._taken():
                await self._complete(batch)

    async def _filled(self) -> None:
        if self._wait_s and len(self._waiting) < self._most:
            self._full.clear()
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._full.wait()
            except TimeoutError:
                pass

    def _taken(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        taken: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(taken) < self._most:
            item, future = self._waiting.popleft()
            if not future.done():  # else nobody waits for it any more
                taken.append((item, future))
        return taken

    async def _complete(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._compute([item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
