"""Contact sheets: many images on one, each above its caption."""

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw

_GAP, _FONT, _LINES = 8, 10, 3  # pixels, pixels, lines of a caption


def contact_sheet(
    images: Sequence[Image.Image], captions: Sequence[str], across: int = 6, side: int = 160
) -> Image.Image:
    """Return a sheet of `across` columns; images are scaled to fit into a square of `side` pixels."""
    width, height = side + _GAP, side + _LINES * (_FONT + 3) + _GAP
    sheet = Image.new("RGB", (across * width + _GAP, -(-len(images) // across) * height + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = index % across * width + _GAP, index // across * height + _GAP
        sheet.paste(_fitted(image, side), (x, y))
        lines = textwrap.wrap(caption, width=2 * side // _FONT, max_lines=_LINES, placeholder=" …")
        pen.text((x, y + side + 2), "\n".join(lines), "black", font_size=_FONT)
    return sheet


def _fitted(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Small ones keep their pixels to be looked at.
    way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return image.convert("RGB").resize(size, way)
