"""The recognizer behind HTTP.

    POST /v1/labels   an image's bytes (Content-Type image/...) -> the classes in it, where, how sure
    GET  /v1/model    the recognizer's card: classes, method, thresholds, measured quality

A job starts it by `serve.deploy`; on a cluster, a Serve configuration file names `serve.app:build` as its
import path. This module is imported by Serve's controller too, so it must not load a model.
"""

import asyncio
import math
from typing import Any

import torch
from fastapi import FastAPI, Request
from PIL import Image
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from serve.answer import Answer
from serve.args import ServeArgs
from serve.upload import read_image
from serve.watched import WatchedRecognizer
from t2ipal.bundle import Card, Prediction, Recognizer

api = FastAPI(title="t2ipal", description="Which classes are in a photo, where they are, and how sure.")
BODY = {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}


@serve.deployment
@serve.ingress(api)
class Endpoint:
    """One replica: a recognizer, and the requests that wait for it."""

    def __init__(self, args: ServeArgs) -> None:
        torch.set_num_threads(args.threads or math.ceil(args.cpus) or 1)
        self._args = args
        self._recognizer = WatchedRecognizer(Recognizer.load(args.bundle, "cuda" if args.gpus else "cpu"))
        # The first prediction is slow, and a bundle that cannot predict must fail here, not on a request.
        self._recognizer.predict([Image.new("RGB", (64, 64))])
        batching: Any = self.predict
        batching.set_max_batch_size(args.batch.max_size)
        batching.set_batch_wait_timeout_s(args.batch.wait_s)

    @api.post("/v1/labels", openapi_extra={"requestBody": BODY})
    async def labels(self, request: Request) -> Answer:
        """Say which classes are in an image."""
        image = await read_image(request, self._args.max_image_bytes, self._args.max_image_pixels)
        return Answer.of(await self.predict(image), self._recognizer.card.name)

    @api.get("/v1/model")
    def model(self) -> Card:
        """Describe the recognizer."""
        return self._recognizer.card.public()

    @serve.batch
    async def predict(self, images: list[Image.Image]) -> list[Prediction]:
        """Answer waiting requests together; on a thread, so that others can be read meanwhile."""
        return await asyncio.to_thread(self._recognizer.predict, images)

    def check_health(self) -> None:
        """Tell Serve, which asks regularly and replaces a replica that raises, whether this one works."""
        self._recognizer.check()


def build(args: ServeArgs) -> Any:
    """Return the application (serve.Application) that serves a bundle."""
    # One batch is computed while the next one fills, and autoscaling must see its target exceeded.
    ongoing = max(2 * args.batch.max_size, math.ceil(2 * args.target_ongoing_requests))
    options: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": args.cpus, "num_gpus": args.gpus},
        "max_ongoing_requests": ongoing,
        "max_queued_requests": args.max_queued_requests,
        "max_constructor_retry_count": 2,  # what fails twice is the bundle's fault
        "autoscaling_config": AutoscalingConfig(
            min_replicas=args.replicas.min,
            max_replicas=args.replicas.max,
            target_ongoing_requests=args.target_ongoing_requests,
        ),
        "backpressure_config": BackpressureConfig(
            status_code=args.overload_status, retry_after_s=args.retry_after_s
        ),
    }
    deployment: Any = Endpoint
    return deployment.options(**options).bind(args)
