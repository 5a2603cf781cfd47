"""A replica: recognizers, the requests that wait for them, and the threads that read images meanwhile."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pydantic import ValidationError
from ray import serve
from torch import Tensor

from serve.args import Served
from serve.batches import Batches
from serve.call import BUSY, Answer, Call, Described, ImageError, ImageResult, Refusal, Timings, Vocabulary
from serve.figures import Figures
from serve.last_good import last_good, remember
from serve.pictures import decoded, result
from serve.shelf import Shelf
from t2ipal import Recognizer
from t2ipal.model_thread import ModelThread
from t2ipal.prediction import Reading
from t2ipal.serve_recipe import EndpointSettings

LOG = logging.getLogger("ray.serve")
RETRY_S = 30.0  # between attempts to load a bundle that did not
FAILURES_TO_REPLACE = 3  # batches that fail, one after the other, before Serve is asked for another replica


@dataclass(frozen=True)
class Waiting:
    """An image that waits for the model."""

    recognizer: Recognizer
    fitted: Tensor  # [1, H, W, 3] uint8
    size: tuple[int, int]  # width and height of the image as it came
    names: tuple[str, ...]


@serve.deployment
class Replica:
    """Answers calls; every answer is from one version of one recognizer."""

    def __init__(self, settings: EndpointSettings) -> None:
        device = "cuda" if settings.gpus else "cpu"
        self._settings = settings
        self._model = ModelThread(device)
        threads = settings.threads or math.ceil(settings.cpus) or 1
        self._readers = ThreadPoolExecutor(settings.readers, thread_name_prefix="read")
        self._shelf = Shelf(device, settings.together, self._model, threads)
        self._figures = Figures()
        self._failures = self._taken = 0
        self._retrying: asyncio.Task[None] | None = None
        application = serve.get_replica_context().app_name
        self._last_good, self._remember = partial(last_good, application), partial(remember, application)
        batch = settings.batch
        self._read = Batches(self._read_together, batch.max_size, batch.wait_s)

    async def reconfigure(self, served: dict[str, Any]) -> None:
        """Serve other bundles; those that do not load leave the former ones where they are, and are tried
        again.

        Calls under way keep the recognizer that they began with.
        """
        if self._retrying is not None:
            self._retrying.cancel()
        try:
            asked = Served.model_validate(served)
        except ValidationError as error:
            if not self._shelf.sources():
                raise
            LOG.error("the recognizers stay as they are: %s", error)  # Serve would end this replica
            return
        await self._change(asked)
        if self._shelf.failed():
            self._retrying = asyncio.create_task(self._retry(asked))

    async def _change(self, served: Served) -> None:
        await asyncio.to_thread(self._shelf.change, served, self._last_good)
        self._remember(self._shelf.sources())

    async def _retry(self, served: Served) -> None:
        """What did not load may have been a store that did not answer."""
        while self._shelf.failed():
            await asyncio.sleep(RETRY_S)
            await self._change(served)

    async def recognize(self, call: Call) -> Answer | Refusal:
        """Answer for the images of a call, unless too many wait for theirs."""
        if self._taken >= self._settings.places:
            return Refusal(BUSY, "too many requests are waiting", self._settings.retry_after_s)
        self._taken += 1
        try:
            return await self._recognized(call)
        finally:
            self._taken -= 1

    async def _recognized(self, call: Call) -> Answer | Refusal:
        start = time.monotonic()
        options = call.options
        found = self._shelf.find(options.recognizer)
        if isinstance(found, Refusal):
            return found
        name, recognizer = found
        names = tuple(options.classes)
        if names and (refusal := await self._on_model(self._shelf.refusal_of, recognizer, names)) is not None:
            return refusal
        seen = await asyncio.gather(*(self._decoded(image, recognizer, names) for image in call.images))
        ready = time.monotonic()
        readings = await asyncio.gather(*(self._reading(each) for each in seen))
        read = time.monotonic()
        heatmaps = self._settings.limits.heatmaps
        results: list[ImageResult | ImageError] = []
        for each, reading in zip(seen, readings, strict=True):
            if isinstance(each, Refusal):
                results.append(ImageError(status=each.status, detail=each.detail))
            else:
                results.append(
                    await self._on_reader(result, recognizer, reading, each.size, options, heatmaps)
                )
        timings = [1000 * seconds for seconds in (ready - start, read - ready, time.monotonic() - start)]
        timed = Timings(decode=timings[0], model=timings[1], total=timings[2])
        answer = Answer(recognizer=name, version=recognizer.version, results=results, timings_ms=timed)
        self._figures.count(answer)
        return answer

    async def recognizers(self) -> list[Described] | Refusal:
        """Say which recognizers there are."""
        nothing = self._shelf.find(None)
        return nothing if isinstance(nothing, Refusal) else self._shelf.described()

    async def vocabulary(self, recognizer: str | None) -> Vocabulary | Refusal:
        """Say which classes one of them knows."""
        return self._shelf.vocabulary(recognizer)

    def check_health(self) -> None:
        """Tell Serve, which asks regularly and replaces a replica that raises, whether this one works.

        Bad images are refused before the model, so a batch that fails is the replica's own fault.
        """
        if self._failures >= FAILURES_TO_REPLACE:
            raise RuntimeError(f"the last {self._failures} batches failed")

    async def _decoded(
        self, data: bytes | Refusal, recognizer: Recognizer, names: tuple[str, ...]
    ) -> Waiting | Refusal:
        if isinstance(data, Refusal):
            return data
        image = await self._on_reader(decoded, data, self._settings.limits.image_pixels, recognizer.fit)
        return image if isinstance(image, Refusal) else Waiting(recognizer, image.fitted, image.size, names)

    async def _reading(self, waiting: Waiting | Refusal) -> Any:
        return None if isinstance(waiting, Refusal) else await self._read(waiting)

    async def _read_together(self, waiting: list[Waiting]) -> list[Reading]:
        """Read images of several calls together; those that began before a change of recognizers apart."""
        try:
            readings = await self._on_model(_readings, waiting)
        except Exception:
            self._failures += 1
            raise
        self._failures = 0
        return readings

    async def _on_model(self, function: Any, *args: Any) -> Any:
        return await asyncio.wrap_future(self._model.submit(function, *args))

    async def _on_reader(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *args)


def _readings(waiting: Sequence[Waiting]) -> list[Reading]:
    readings: list[Any] = [None] * len(waiting)
    for recognizer in {each.recognizer for each in waiting}:
        rows = [row for row, each in enumerate(waiting) if each.recognizer is recognizer]
        fitted = torch.cat([waiting[row].fitted for row in rows])
        found = recognizer.read(fitted, [waiting[row].names for row in rows])
        for row, reading in zip(rows, found, strict=True):
            readings[row] = reading
    return readings
