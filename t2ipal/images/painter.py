"""Captions to pixels, with any text-to-image pipeline of diffusers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from PIL import Image

from t2ipal.errors import UserError
from t2ipal.images.lost_device import DeviceLostError
from t2ipal.images.pipelines import call_arguments, load_pipeline
from t2ipal.images_recipe import ImagesRecipe

MOST_FAILED = 16  # captions in a row: so many are not to blame themselves


@dataclass(frozen=True)
class Painting:
    """One image of one caption, or why there is none."""

    image: Image.Image | None
    blank: str = ""
    """Why the image shows nothing, so that another seed may help; empty when it shows something."""
    failure: str = ""
    """What the pipeline raised when it painted this caption alone; then there is no image."""


class Painter:
    """A diffusers pipeline with a recipe's settings, on torch's `device`, such as "cuda".

    An image depends on its caption and its seed, not on the others of its batch; but matrix products of
    another batch size add in another order, so a value on the edge of rounding may fall either way: on a
    CPU fewer than one pixel value in a thousand, by one of 255 steps; on a GPU, in half precision, more.
    """

    def __init__(self, recipe: ImagesRecipe, device: str = "cpu") -> None:
        self._pipeline = load_pipeline(recipe, device)
        self._settings = call_arguments(self._pipeline, recipe)
        self.batch = recipe.batch
        """Captions painted at once; halved for good when memory is short."""
        self._model = recipe.model
        self._failed_in_a_row = 0

    def paint(self, captions: Sequence[str], seeds: Sequence[int]) -> Iterator[Painting]:
        """Yield one painting for each caption, in order.

        A batch for which memory is short is painted in halves; so is one that fails otherwise, down to the
        caption that is to blame. Raises UserError when that was so for MOST_FAILED captions in a row, in
        whatever calls, and DeviceLostError when the device is unusable.
        """
        at = 0
        while at < len(captions):
            part = slice(at, at + self.batch)
            try:
                paintings = self._attempt(captions[part], seeds[part])
            except torch.AcceleratorError as error:
                raise DeviceLostError(_named(error)) from error
            for caption, painting in zip(captions[part], paintings, strict=True):
                self._count(caption, painting.failure)
            at += len(paintings)
            yield from paintings

    def _count(self, caption: str, failure: str) -> None:
        self._failed_in_a_row = self._failed_in_a_row + 1 if failure else 0
        if self._failed_in_a_row == MOST_FAILED:
            self._failed_in_a_row = 0
            raise UserError(
                f"images: the pipeline {self._model!r} failed on {MOST_FAILED} captions in a row; of "
                f"{caption!r} it says: {failure}",
                "check the section images of the recipe, and whether the model fits into the worker's memory",
            )

    def _attempt(self, captions: Sequence[str], seeds: Sequence[int]) -> list[Painting]:
        half = -(-len(captions) // 2)
        try:
            return self._paint(captions, seeds)
        except Exception as error:
            short, failure = out_of_memory(error), _named(error)
            if isinstance(error, torch.AcceleratorError) and not short:
                raise  # it would be so for each of them
        # Here the exception is gone, and with it what its frames held.
        if short:
            self.batch = min(self.batch, half)
            clear_device_cache(garbage_collection=True)
        if len(captions) == 1:
            return [Painting(None, failure=failure)]
        return [
            *self._attempt(captions[:half], seeds[:half]),
            *self._attempt(captions[half:], seeds[half:]),
        ]

    @torch.inference_mode()
    def _paint(self, captions: Sequence[str], seeds: Sequence[int]) -> list[Painting]:
        # One generator an image, and on the CPU: then the noise is the same in every batch, on every device.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        settings = dict(self._settings)
        if "negative_prompt" in settings:
            settings["negative_prompt"] = [settings["negative_prompt"]] * len(captions)
        result = self._pipeline(prompt=list(captions), generator=generators, **settings)
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(captions)
        return [
            Painting(image, _blank(image, flag)) for image, flag in zip(result.images, flags, strict=True)
        ]


def out_of_memory(error: Exception) -> bool:
    """Say whether an exception tells that a device, or the machine, has too little memory."""
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or should_reduce_batch_size(error)
        or (isinstance(error, torch.AcceleratorError) and "out of memory" in str(error))
    )


def _blank(image: Image.Image, flag: bool) -> str:
    if flag:
        return "refused by the pipeline's safety checker"
    # As where half precision overflows in a decoder: then all is black.
    if (image if image.mode == "RGB" else image.convert("RGB")).getcolors(1) is not None:
        return "all of one colour"
    return ""


def _named(error: Exception) -> str:
    """The kind of an exception and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
