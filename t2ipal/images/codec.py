"""Pixels to encoded bytes and back."""

import hashlib
import io
import warnings
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# What cameras and browsers send. Pillow reads many more formats, some by decoders that few people have
# tested.
_READABLE = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

# Of 0 to 100. With the most an image of 512 pixels takes three times as long, one of noise, as a model with
# random weights paints, twenty times; the files are as large.
_LOSSLESS_EFFORT = 50


class ImageError(ValueError):
    """The bytes are not an image we can read."""


class UnknownFormat(ImageError):
    """The bytes do not begin as a format does that we read."""


class ImageTooLarge(ImageError):
    """The image has more pixels than allowed."""


def encode(image: Image.Image, format: Literal["webp", "png", "jpeg"], quality: int) -> bytes:
    """Return the image's encoded bytes. For webp quality 100 is lossless; png ignores quality."""
    buffer = io.BytesIO()
    if format == "webp":
        # Where nothing is lost, Pillow takes the effort as `quality`. Method 4 of 0 (fast) to 6 (small);
        # `exact` is about transparent pixels, which synthetic images lack.
        lossless = quality == 100
        effort = _LOSSLESS_EFFORT if lossless else quality
        image.save(buffer, "WEBP", lossless=lossless, quality=effort, method=4)
    elif format == "png":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """Return the hex SHA-256 of encoded bytes."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Return the RGB image that a person would see: turned as its EXIF tag says, transparency over white.

    Of an animation, or of many pages, it is the first. Raises UnknownFormat and ImageTooLarge before any
    pixel is decoded, ImageError for all else that cannot be read.
    """
    if not data:
        raise ImageError("the image is empty: it has no bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns about sizes of its own choice; ours is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_READABLE)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(str(error)) from error
    except Exception as error:
        if isinstance(error, UnidentifiedImageError) and not _begins_as_known(data):
            raise UnknownFormat(
                "the bytes are not an image in a known format (JPEG, PNG, WebP, GIF, TIFF, BMP)"
            ) from error
        raise ImageError(f"the image is damaged: {error}") from error
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the image has {image.width} x {image.height} pixels; at most {max_pixels} are read"
        )
    try:
        # The transposed copy has lost the format, so decoding (lazy in Pillow) happens here.
        return _rgb(ImageOps.exif_transpose(image))
    except (
        Exception
    ) as error:  # on broken bytes decoders raise nearly anything: OSError, SyntaxError, struct.error
        raise ImageError(f"the image is damaged: {error}") from error


def _begins_as_known(data: bytes) -> bool:
    """Say whether the first bytes are those of a format that is read: what follows is damaged then."""
    return any(accept(data[:16]) for accept in (Image.OPEN[name][1] for name in _READABLE) if accept)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        grey = np.asarray(image)
        return Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        front = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", front.size, "white"), front).convert("RGB")
    return image.convert("RGB")
