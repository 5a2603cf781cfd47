import asyncio

import pytest

from serve.batches import Batches


class Model:
    """Doubles numbers, a batch at a time; each waits for its turn to go on."""

    def __init__(self):
        self.batches = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, items):
        self.batches.append(items)
        await self.free.wait()
        if -1 in items:
            raise ValueError("no number")
        return [2 * item for item in items]


def run(scenario):
    async def within():
        async with asyncio.timeout(20):
            await scenario(Model())

    asyncio.run(within())


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_waits_when_the_model_is_free_is_computed_together():
    async def scenario(model):
        read = Batches(model, most=3, wait_s=0.0)
        model.free.clear()
        first = asyncio.create_task(read(1))
        await turns()
        others = [asyncio.create_task(read(item)) for item in range(2, 7)]
        await turns()
        assert model.batches == [[1]]  # the others wait for the model, not for the clock
        model.free.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
        assert model.batches == [[1], [2, 3, 4], [5, 6]]
        assert await read(7) == 14

    run(scenario)


def test_a_free_model_waits_for_more_only_until_the_batch_is_full():
    async def scenario(model):
        read = Batches(model, most=2, wait_s=60.0)
        assert await asyncio.gather(read(1), read(2)) == [2, 4]
        read = Batches(model, most=2, wait_s=0.05)
        assert await read(3) == 6
        assert model.batches == [[1, 2], [3]]

    run(scenario)


def test_a_batch_that_fails_fails_for_its_own_items_alone():
    async def scenario(model):
        read = Batches(model, most=2, wait_s=0.0)
        found = await asyncio.gather(*map(read, [1, -1, 3]), return_exceptions=True)
        assert [type(each) for each in found] == [ValueError, ValueError, int]

    run(scenario)


def test_what_nobody_waits_for_is_not_computed():
    async def scenario(model):
        read = Batches(model, most=2, wait_s=0.0)
        model.free.clear()
        tasks = [asyncio.create_task(read(item)) for item in (1, 2, 3)]
        await turns()  # 1 and 2 are under way
        tasks[0].cancel()
        tasks[2].cancel()
        await turns()
        model.free.set()
        assert await tasks[1] == 4
        assert await read(5) == 10
        assert model.batches == [[1, 2], [5]]
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    run(scenario)
