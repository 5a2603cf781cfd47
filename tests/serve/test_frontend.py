"""Whom a frontend asks, and how often; replicas are scripts, as real ones cannot be lost to order."""

import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError

from serve.call import Call, Options, Refusal
from serve.frontend import Frontend
from serve.incoming import Refused
from tests.serve.here import served

FULL = Refusal(429, "full", 1)
LOST = RayActorError()
CALL = Call([b""], Options())


def asked(*says, replicas=8, deadline_s=30.0):
    """Ask a frontend whose replicas say these, one after the other; return its answer, and what was left."""
    left = list(says)

    async def said():
        each = left.pop(0)
        if isinstance(each, Exception):
            raise each
        return each

    async def ask():
        args = served("unused", replicas={"max": replicas}, deadline_s=deadline_s)
        plain = Frontend.func_or_class.__mro__[1]  # before Serve made an application of it
        frontend = plain.__new__(plain)
        handle = SimpleNamespace(recognize=SimpleNamespace(remote=lambda call: said()))
        frontend._settings, frontend._replicas, frontend._rates = args.settings, handle, None
        return await frontend.recognize(CALL)

    try:
        return asyncio.run(ask()), left
    except Refused as error:
        return error.refusal.status, left


@pytest.mark.parametrize(
    ("says", "replicas", "answer"),
    [
        (["yes"], 1, "yes"),
        ([FULL, "yes"], 2, "yes"),
        ([FULL, FULL, FULL, "yes"], 8, "yes"),
        ([FULL, LOST, "yes"], 2, "yes"),
        ([LOST, FULL, FULL, FULL, FULL, "yes"], 1, "yes"),  # one that was taken waits for room
        ([LOST, "yes"], 1, "yes"),
        ([FULL], 1, 429),
        ([FULL, FULL], 2, 429),
        ([FULL, FULL, FULL, FULL], 8, 429),
        ([LOST, LOST], 8, 503),
        ([FULL, LOST, LOST], 8, 503),
        ([Refusal(404, "nothing")], 8, 404),
    ],
)
def test_who_is_full_or_lost(says, replicas, answer):
    assert asked(*says, replicas=replicas) == (answer, [])


def test_one_that_was_taken_waits_for_room_no_longer_than_its_deadline():
    said, left = asked(LOST, *[FULL] * 1000, replicas=1, deadline_s=0.3)
    assert said == 504
    assert len(left) > 900
