"""The process that reads requests and sends each to a replica."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from serve.api import make_api
from serve.call import BUSY, Answer, Call, Described, Refusal, Vocabulary
from serve.incoming import Refused, refuse
from serve.prometheus import of_this_node
from t2ipal.serve_recipe import EndpointSettings

MOST_ELSEWHERE = 3  # replicas that are asked after one that is full: Serve chooses among two at random
ROOM_S = 0.05  # between questions whether there is room
READY_S = 10.0  # after an answer nobody has to be asked whether there is a recognizer


@serve.deployment
@serve.ingress()
class Frontend:
    """The HTTP side: a request that was taken is answered as long as any replica lives."""

    def __init__(
        self,
        settings: EndpointSettings,
        replicas: DeploymentHandle[Any],
        rates: DeploymentHandle[Any] | None = None,
    ) -> None:
        self._settings, self._replicas, self._rates = settings, replicas, rates
        self._answered = float("-inf")

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the paths, for Serve."""
        return make_api(self._settings, lambda: self)

    async def recognize(self, call: Call) -> Answer:
        """Have a replica answer for images."""
        answer: Answer = await self._asked(lambda: self._replicas.recognize.remote(call))
        return answer

    async def recognizers(self) -> list[Described]:
        """Ask a replica which recognizers there are."""
        found: list[Described] = await self._asked(self._replicas.recognizers.remote)
        return found

    async def vocabulary(self, recognizer: str | None) -> Vocabulary:
        """Ask a replica which classes a recognizer knows."""
        found: Vocabulary = await self._asked(lambda: self._replicas.vocabulary.remote(recognizer))
        return found

    async def metrics(self) -> str:
        """Return what Ray measures on this machine, Serve's figures and ours."""
        return await of_this_node()

    async def admit(self, owner: str) -> None:
        """Count a request of a key's owner; Refused for one too many."""
        rates = self._rates
        if rates is None:
            return
        if wait_s := await self._asked(lambda: rates.wait_s.remote(owner)):
            raise Refused(Refusal(429, f"the key of {owner!r} is used too often", wait_s))

    async def ready(self) -> None:
        """Refused unless a recognizer answered lately, or has too much to do."""
        if time.monotonic() - self._answered < READY_S:
            return
        try:
            await self.recognizers()
        except Refused as error:
            if error.refusal.status != BUSY:
                raise

    async def _asked(self, ask: Callable[[], DeploymentResponse[Any]]) -> Any:
        """Return what a replica says; ask another one when it is lost, and refuse what takes too long."""
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                said = await self._from_any(ask)
        except TimeoutError as error:
            raise refuse(504, f"there was no answer within {self._settings.deadline_s:g} s") from error
        if isinstance(said, Refusal):
            raise Refused(said)
        self._answered = time.monotonic()
        return said

    async def _from_any(self, ask: Callable[[], DeploymentResponse[Any]]) -> Any:
        lost, elsewhere = False, min(self._settings.replicas.max - 1, MOST_ELSEWHERE)
        while True:
            try:
                said = await _of(ask())
            except BackPressureError as error:
                busy = Refusal(BUSY, "too many requests are waiting", self._settings.retry_after_s)
                raise Refused(busy) from error
            except DeploymentUnavailableError as error:
                raise refuse(503, "no recognizer is ready") from error
            except RayError as error:  # asking twice does no harm: an answer changes nothing
                if lost:
                    raise refuse(503, "two replicas were lost, or failed, under the request") from error
                lost = True
                continue
            if not _is_busy(said):
                return said
            if lost:  # a replica had taken it: it waits for room
                await asyncio.sleep(ROOM_S)
            elif elsewhere:
                elsewhere -= 1
            else:
                return said


def _is_busy(said: Any) -> bool:
    return isinstance(said, Refusal) and said.status == BUSY


async def _of(response: DeploymentResponse[Any]) -> Any:
    """Return what a replica says; one that nobody waits for any more is told so."""
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()
        raise
