import asyncio
import shutil

import pytest

from serve import replica as module
from serve.call import Call, ImageError, ImageResult, Options, Refusal
from serve.replica import FAILURES_TO_REPLACE, Replica
from t2ipal import Recognizer
from tests.serve.here import served
from tests.serve.http import noise, png


def started(bundle, **settings):
    args = served(bundle, **settings)
    replica = Replica.func_or_class(args.settings)
    replica.args = args
    return replica


async def ready(replica):
    await replica.reconfigure(replica.args.serves.model_dump())
    return replica


def call(*images, **options):
    return Call(list(images), Options(**options))


def test_images_of_several_calls_are_read_together(bundle, no_ray, monkeypatch):
    sizes = []
    read = Recognizer.read
    monkeypatch.setattr(
        Recognizer, "read", lambda self, fitted, names: sizes.append(len(fitted)) or read(self, fitted, names)
    )

    async def asked():
        replica = await ready(started(bundle, at_once=4, batch={"max_size": 4, "wait_s": 5.0}))
        sizes.clear()
        calls = [call(png(noise(0)), png(noise(1))), call(png(noise(2))), call(png(noise(3)))]
        return await asyncio.gather(*(replica.recognize(each) for each in calls))

    answers = asyncio.run(asked())
    assert sizes == [4]
    assert [len(answer.results) for answer in answers] == [2, 1, 1]


def test_a_call_keeps_the_recognizer_that_it_began_with(bundle, other_bundle, no_ray):
    async def changed():
        replica = await ready(started(bundle, at_once=2, batch={"max_size": 2, "wait_s": 1.0}))
        before = (await replica.recognizers())[0].version
        asked = asyncio.create_task(replica.recognize(call(png(noise(0)), scores=True)))
        await asyncio.sleep(0.3)  # it waits for its batch to fill
        await replica.reconfigure({"recognizers": {"tiny": other_bundle}})
        beside = await replica.recognize(call(png(noise(0)), scores=True))
        return before, await asked, beside

    before, asked, beside = asyncio.run(changed())
    assert asked.version == before != beside.version
    assert asked.results[0].scores != beside.results[0].scores


def test_a_replica_that_fails_again_and_again_asks_to_be_replaced(bundle, no_ray, monkeypatch):
    def broken(self, fitted, names):
        raise RuntimeError("CUDA error")

    async def failing():
        replica = await ready(started(bundle))
        working = Recognizer.read
        for fails in range(1, FAILURES_TO_REPLACE + 1):
            replica.check_health()
            monkeypatch.setattr(Recognizer, "read", broken)
            with pytest.raises(RuntimeError, match="CUDA error"):
                await replica.recognize(call(png(noise(0))))
            if fails == 1:  # one that works in between is forgiven
                monkeypatch.setattr(Recognizer, "read", working)
                await replica.recognize(call(png(noise(0))))
                assert replica._failures == 0
                replica._failures = 1
        with pytest.raises(RuntimeError, match="the last 3 batches failed"):
            replica.check_health()

    asyncio.run(failing())


def test_what_came_without_an_image_keeps_its_reason(bundle, no_ray):
    async def asked():
        replica = await ready(started(bundle))
        return await replica.recognize(call(Refusal(413, "too large"), png(noise(0))))

    first, second = asyncio.run(asked()).results
    assert first == ImageError(status=413, detail="too large")
    assert second.width == 48


def test_a_configuration_that_is_wrong_changes_nothing(bundle, no_ray):
    async def changed():
        replica = await ready(started(bundle))
        before = await replica.recognizers()
        await replica.reconfigure({"recogniser": {}})
        return before, await replica.recognizers()

    before, after = asyncio.run(changed())
    assert before == after


def test_what_did_not_load_is_tried_again(bundle, other_bundle, no_ray, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.1)
    late = tmp_path / "late"

    async def changed():
        replica = await ready(started(bundle))
        await replica.reconfigure({"recognizers": {"tiny": str(late)}})
        (failed,) = await replica.recognizers()
        shutil.copytree(other_bundle, late)
        for _ in range(100):
            await asyncio.sleep(0.1)
            (described,) = await replica.recognizers()
            if described.failed is None:
                break
        return failed, described

    failed, described = asyncio.run(changed())
    assert failed.failed
    assert described.version == Recognizer.load(other_bundle).version


def test_a_call_that_nobody_waits_for_leaves_the_batch(bundle, no_ray):
    async def cancelled():
        replica = await ready(started(bundle, at_once=2, batch={"max_size": 2, "wait_s": 1.0}))
        first = asyncio.create_task(replica.recognize(call(png(noise(0)))))
        await asyncio.sleep(0.3)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.gather(*(replica.recognize(call(png(noise(n)))) for n in range(3)))

    assert [len(answer.results) for answer in asyncio.run(cancelled())] == [1, 1, 1]


def test_more_calls_than_it_has_places_are_refused(bundle, no_ray):
    async def asked():
        batch = {"max_size": 2, "wait_s": 0.5}
        replica = await ready(
            started(bundle, batch=batch, replicas={"max": 1}, max_ongoing_requests=2, retry_after_s=7)
        )
        calls = [call(png(noise(seed))) for seed in range(4)]
        first = await asyncio.gather(*(replica.recognize(each) for each in calls))
        return first, await replica.recognize(call(b"no image")), await replica.recognize(calls[0])

    first, bad, after = asyncio.run(asked())
    assert first[2:] == [Refusal(429, "too many requests are waiting", 7)] * 2
    for answer in (*first[:2], after):  # places are free again, also after a call that fails
        assert [type(each) for each in answer.results] == [ImageResult]
    assert isinstance(bad.results[0], ImageError)
