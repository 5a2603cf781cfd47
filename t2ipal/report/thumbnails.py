"""Images small enough to lie within a page."""

import base64
import io

from PIL import Image

from t2ipal.report.content import Picture

_QUALITY = 75
_SMALL = 64  # pixels of a side up to which an image keeps every one of them


def thumbnail(image: Image.Image, side: int, alt: str) -> Picture:
    """Return an RGB image whose longer side has at most `side` pixels as a data URI."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY, lossless=max(small.size) <= _SMALL, method=4)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/webp;base64,{data}", small.width, small.height, alt)
