"""Room for the bodies of requests: what a process reads at a time is bounded, before it is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from serve.call import Refusal
from serve.incoming import Refused, declared_length, refuse
from t2ipal.serve_recipe import RequestLimits


class Room:
    """Counts the bytes of all bodies that are held."""

    def __init__(self, limits: RequestLimits, deadline_s: float, retry_after_s: int) -> None:
        self._limits, self._deadline_s, self._retry_after_s = limits, deadline_s, retry_after_s
        self._held = 0

    @asynccontextmanager
    async def taken(self, request: Request) -> AsyncIterator[None]:
        """Within, there is room for a request's body; Refused where there is none, or for longer than a
        request and its answer may take.
        """
        length = declared_length(request)
        size = min(self._limits.body_bytes if length is None else length, self._limits.body_bytes)
        if self._held and self._held + size > self._limits.bodies_bytes:
            raise Refused(Refusal(429, "too many bytes are being read", self._retry_after_s))
        self._held += size
        try:
            async with asyncio.timeout(2 * self._deadline_s):
                yield
        except TimeoutError as error:
            raise refuse(408, "the body did not arrive in time") from error
        finally:
            self._held -= size
