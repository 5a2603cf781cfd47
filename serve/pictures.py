"""What the threads that read images do: from bytes to the model's input, and from readings to results."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from serve.call import Heatmap, Heatmaps, ImageResult, Label, Options, Place, Refusal
from t2ipal import Recognizer, prediction
from t2ipal.clip.preprocess import Box
from t2ipal.images.codec import ImageError, UnknownFormat, decode
from t2ipal.images.overlay import overlay
from t2ipal.prediction import Reading

Fit = Callable[[Sequence[Image.Image]], Tensor]


@dataclass(frozen=True)
class Decoded:
    """An image in the size of the model's input, and its own size before."""

    fitted: Tensor  # [1, H, W, 3] uint8
    size: tuple[int, int]  # width, height


def decoded(data: bytes, most_pixels: int, fit: Fit) -> Decoded | Refusal:
    """Decode an image and resize it, or say why that cannot be done."""
    try:
        image = decode(data, most_pixels)
    except UnknownFormat as error:
        return Refusal(415, str(error))
    except ImageError as error:
        return Refusal(422, str(error))
    return Decoded(fit([image]), image.size)


def result(
    recognizer: Recognizer, reading: Reading, size: tuple[int, int], options: Options, heatmaps: int
) -> ImageResult:
    """What is said of an image; of its labels so many, the surest, may have a heatmap."""
    names, threshold = tuple(options.classes), options.threshold
    found = recognizer.describe(reading, size, threshold, options.top_k, names)
    labels = [
        _label(each, found.visible, size, options.heatmaps if place < heatmaps else "none")
        for place, each in enumerate(found.labels)
    ]
    scores = found.scores if options.scores else None
    return ImageResult(width=size[0], height=size[1], labels=labels, scores=scores)


def _label(label: prediction.Label, visible: Box, size: tuple[int, int], heatmaps: Heatmaps) -> Label:
    heatmap = None
    if heatmaps == "grid":
        heatmap = Heatmap(box=visible, grid=label.heat.astype(float).round(4).tolist())
    elif heatmaps == "png":
        png = base64.b64encode(overlay(label.heat, visible, size)).decode()
        heatmap = Heatmap(box=visible, png=png)
    return Label(
        name=label.name,
        score=label.score,
        threshold=label.threshold,
        zero_shot=label.zero_shot,
        where=Place(peak=label.where.peak, box=label.where.box),
        heatmap=heatmap,
    )
