"""A heatmap as a picture to lay over its image."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2ipal.clip.preprocess import Box

LONGEST = 512  # pixels of the longer side; it is smooth, and a browser makes it as large as the image
_COLOUR = (230, 60, 20)
_STRONGEST = 150  # opacity, 0 to 255, of the best patch; one at the mean and below is clear


def overlay(heat: NDArray[np.float32], visible: Box, size: tuple[int, int]) -> bytes:
    """Return a PNG of an image's shape in which the patches `heat` [h, w] of its visible part glow.

    `size` is the image's width and height, of which the longer has at most 512 pixels in the picture.
    """
    scale = min(LONGEST / max(size), 1.0)
    width, height = (max(round(side * scale), 1) for side in size)
    buffer = io.BytesIO()
    glow(heat, visible, (width, height)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def glow(heat: NDArray[np.float32], visible: Box, size: tuple[int, int]) -> Image.Image:
    """Return an RGBA picture of a width and height in which the patches `heat` [h, w] of the visible part
    glow; `visible` may reach beyond its borders.
    """
    width, height = size
    floor = float(heat.mean())
    strength = (heat - floor).clip(0) / ((float(heat.max()) - floor) or 1.0)
    patches = Image.fromarray((strength * _STRONGEST).astype(np.uint8))
    left, top, right, bottom = (
        round(share * side) for share, side in zip(visible, (width, height, width, height), strict=True)
    )
    part = patches.resize((max(right - left, 1), max(bottom - top, 1)), Image.Resampling.BICUBIC)
    alpha = Image.new("L", (width, height))
    alpha.paste(part, (left, top))
    picture = Image.new("RGB", (width, height), _COLOUR)
    picture.putalpha(alpha)
    return picture
