import asyncio

from serve.rates import Rates


def test_a_key_that_is_used_too_often_has_to_wait():
    rates = Rates.func_or_class(3)

    async def waits(owner, times):
        return [await rates.wait_s(owner) for _ in range(times)]

    *free, wait = asyncio.run(waits("mine", 4))
    assert free == [0, 0, 0]
    assert 1 <= wait <= 60
    assert asyncio.run(waits("other", 1)) == [0]
