"""The image in a request, with limits."""

import asyncio

from fastapi import HTTPException, Request
from PIL import Image

from t2ipal.images.codec import ImageError, ImageTooLarge, decode


async def read_image(request: Request, max_bytes: int, max_pixels: int) -> Image.Image:
    """Return the request's body as an RGB image.

    Raises HTTPException: 415 for a body that is not declared as an image, 413 for too many bytes or pixels,
    400 for bytes that are not an image.
    """
    declared = request.headers.get("content-type", "")
    if not declared.startswith("image/"):
        raise HTTPException(415, f"send the image's bytes with Content-Type image/...; it was {declared!r}")
    data = await _read_body(request, max_bytes)
    try:
        # On a thread: a large JPEG takes a tenth of a second, in which the replica shall go on answering.
        return await asyncio.to_thread(decode, data, max_pixels)
    except ImageTooLarge as error:
        raise HTTPException(413, str(error)) from error
    except ImageError as error:
        raise HTTPException(400, str(error)) from error


async def _read_body(request: Request, max_bytes: int) -> bytes:
    too_large = HTTPException(413, f"the body is larger than {max_bytes} bytes")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise too_large
    data = bytearray()
    async for chunk in request.stream():  # the declared length may be wrong, or absent
        data += chunk
        if len(data) > max_bytes:
            raise too_large
    return bytes(data)
