"""Captions to pixels, with any text-to-image pipeline of diffusers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import AutoPipelineForText2Image
from PIL import Image

from t2ipal.images.schedulers import scheduler_class

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Painting:
    """One image of one caption."""

    image: Image.Image
    flagged: bool
    """Whether the pipeline's own safety checker refused it (and blackened it)."""


class Painter:
    """A diffusers pipeline with fixed settings.

    `model` is a hub name or a local folder; `scheduler` the name of a diffusers class that replaces the
    pipeline's own; `size` is in pixels, height and width; `device` is torch's, such as "cuda". A safety
    checker that the pipeline brings stays in force.
    """

    def __init__(
        self,
        model: str,
        *,
        steps: int,
        guidance: float,
        size: int,
        scheduler: str | None = None,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        negative_prompt: str = "",
        batch: int = 8,
        device: str = "cpu",
    ) -> None:
        load: Any = AutoPipelineForText2Image.from_pretrained  # diffusers has no types
        pipeline = load(model, dtype=DTYPES[dtype])
        if scheduler is not None:
            pipeline.scheduler = scheduler_class(scheduler).from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline.to(device)
        self._settings: dict[str, Any] = {
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "height": size,
            "width": size,
        }
        if negative_prompt:
            self._settings["negative_prompt"] = negative_prompt
        self._batch = batch

    def paint(self, captions: Sequence[str], seeds: Sequence[int]) -> Iterator[Painting]:
        """Yield one image for each caption, in order. An image depends on its caption and its seed alone."""
        for start in range(0, len(captions), self._batch):
            part = slice(start, start + self._batch)
            yield from self._paint_batch(list(captions[part]), seeds[part])

    @torch.inference_mode()
    def _paint_batch(self, captions: list[str], seeds: Sequence[int]) -> list[Painting]:
        # One generator an image, and on the CPU: then the noise is the same in every batch, on every device.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        settings = dict(self._settings)
        if "negative_prompt" in settings:
            settings["negative_prompt"] = [settings["negative_prompt"]] * len(captions)
        result = self._pipeline(prompt=captions, generator=generators, **settings)
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(captions)
        return [Painting(image, bool(flag)) for image, flag in zip(result.images, flags, strict=True)]
