import asyncio
from contextlib import suppress

import pytest
from starlette.requests import Request

from serve.call import Refusal
from serve.incoming import Refused
from serve.room import MOMENT_S, Room
from t2ipal.serve_recipe import RequestLimits

LIMITS = RequestLimits(body_bytes=100, bodies_bytes=250)


def request(length=None):
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "headers": headers})


def statuses(*lengths, room=None):
    """Ask for room for requests that all stay; return what each was told."""
    room = room or Room(LIMITS, 10.0, 7)

    async def all_at_once():
        held, found = [], []
        for length in lengths:
            taken = room.taken(request(length))
            try:
                await taken.__aenter__()
            except Refused as error:
                found.append((error.refusal.status, error.refusal.retry_after_s))
            else:
                held.append(taken)
                found.append(None)
        for taken in reversed(held):
            await taken.__aexit__(None, None, None)
        return found

    return asyncio.run(all_at_once())


def test_what_is_read_at_a_time_is_bounded():
    assert statuses(100, 100, 60, 50) == [None, None, (429, 7), None]


def test_a_body_of_unknown_length_is_taken_for_the_longest():
    assert statuses(None, None, 51, 50) == [None, None, (429, 7), None]


def test_room_is_given_back():
    room = Room(LIMITS, 10.0, 7)
    for _ in range(3):
        assert statuses(100, 100, room=room) == [None, None]


def test_a_body_that_does_not_arrive():
    async def slow():
        async with Room(LIMITS, 0.05, 7).taken(request(10)):
            await asyncio.sleep(10)

    with pytest.raises(Refused) as raised:
        asyncio.run(slow())
    assert raised.value.refusal.status == 408


def ask(room, error=None):
    """Ask for room, and be answered or refused behind it; return the status."""

    async def once():
        async with room.taken(request(10)):
            if error is not None:
                raise error

    try:
        asyncio.run(once())
    except Refused as refused:
        return refused.refusal.status, refused.refusal.detail
    return 200, ""


BUSY = Refused(Refusal(429, "no replica has room", 7))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("serve.room.time.monotonic", lambda: now[0])
    return now


def test_where_there_was_no_room_the_next_are_refused_at_sight_for_a_moment(clock):
    room = Room(LIMITS, 10.0, 7)
    assert ask(room) == (200, "")
    assert ask(room, BUSY) == (429, "no replica has room")
    assert ask(room) == ask(room, BUSY) == (429, "too many requests are waiting")
    clock[0] += MOMENT_S
    assert ask(room) == (200, "")


@pytest.mark.parametrize("answered", [None, Refused(Refusal(415, "no image"))], ids=["answered", "refused"])
def test_an_answer_makes_room(clock, answered):
    room = Room(LIMITS, 10.0, 7)

    async def meanwhile():
        async with room.taken(request(10)):
            with pytest.raises(Refused):
                async with room.taken(request(10)):
                    raise BUSY
            assert room._gate.is_shut
            if answered is not None:
                raise answered

    with suppress(Refused):
        asyncio.run(meanwhile())
    assert ask(room) == (200, "")
