"""Room for requests: what a process reads at a time is bounded, and nothing is read that would be refused."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from serve.call import BUSY, Refusal
from serve.incoming import Refused, declared_length, refuse
from t2ipal.serve_recipe import RequestLimits

MOMENT_S = 0.25  # in which what others have answered, or other replicas, may have made room


class Gate:
    """Shut from when a request was refused for want of room until one is answered, or a moment has passed.

    To read a request and to ask for room that is not there costs a good part of an answer: what comes
    meanwhile is refused at sight, so that many who ask too much do not slow those who are answered.
    """

    def __init__(self) -> None:
        self._until = float("-inf")

    @property
    def is_shut(self) -> bool:
        """Whether there is surely no room."""
        return time.monotonic() < self._until

    def shut(self) -> None:
        """There was no room just now."""
        self._until = time.monotonic() + MOMENT_S

    def open(self) -> None:
        """There is room for one."""
        self._until = float("-inf")


class Room:
    """Counts the bytes of all bodies that are held, and has a gate before them."""

    def __init__(self, limits: RequestLimits, deadline_s: float, retry_after_s: int) -> None:
        self._limits, self._deadline_s, self._retry_after_s = limits, deadline_s, retry_after_s
        self._held = 0
        self._gate = Gate()

    @asynccontextmanager
    async def taken(self, request: Request) -> AsyncIterator[None]:
        """Within, there is room for a request's body; Refused where there is none, or for longer than a
        request and its answer may take.
        """
        if self._gate.is_shut:
            raise Refused(Refusal(BUSY, "too many requests are waiting", self._retry_after_s))
        length = declared_length(request)
        size = min(self._limits.body_bytes if length is None else length, self._limits.body_bytes)
        if self._held and self._held + size > self._limits.bodies_bytes:
            raise Refused(Refusal(BUSY, "too many bytes are being read", self._retry_after_s))
        self._held += size
        try:
            async with asyncio.timeout(2 * self._deadline_s):
                yield
            self._gate.open()
        except Refused as error:
            if error.refusal.status == BUSY:
                self._gate.shut()
            else:
                self._gate.open()
            raise
        except TimeoutError as error:
            raise refuse(408, "the body did not arrive in time") from error
        finally:
            self._held -= size
