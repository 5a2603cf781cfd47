"""Image files as cameras, browsers and accidents make them, by their names, with the answer due."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

WIDE, HIGH = 60, 40


class OddFile(NamedTuple):
    """A file, and the status with which it has to be answered; 200 comes with the size of the picture."""

    name: str
    data: bytes
    status: int
    size: tuple[int, int] | None = None


def picture() -> Image.Image:
    """A picture whose corners differ."""
    across, down = np.meshgrid(np.linspace(0, 255, WIDE), np.linspace(0, 255, HIGH))
    return Image.fromarray(np.stack([across, down, 255 - across], axis=2).astype(np.uint8))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """The image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def files() -> list[OddFile]:
    """All of them."""
    return [*_formats(), *_turned(), *_truncated(), *_broken()]


def _formats() -> Iterator[OddFile]:
    image = picture()
    for format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        yield _good(f"plain.{format.lower()}", saved(image, format))
    yield _good("grey.jpg", saved(image.convert("L"), "JPEG"))
    yield _good("cmyk.jpg", saved(image.convert("CMYK"), "JPEG"))
    yield _good("progressive.jpg", saved(image, "JPEG", progressive=True))
    yield _good("palette.png", saved(image.convert("P"), "PNG"))
    yield _good("palette-transparent.png", saved(image.convert("P"), "PNG", transparency=3))
    yield _good("alpha.png", saved(image.convert("RGBA"), "PNG"))
    yield _good("grey-alpha.png", saved(image.convert("LA"), "PNG"))
    yield _good("one-bit.png", saved(image.convert("1"), "PNG"))
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    yield _good("sixteen-bit.png", saved(deep, "PNG"))
    yield _good("sixteen-bit.tiff", saved(deep, "TIFF"))
    yield _good("float.tiff", saved(image.convert("F"), "TIFF"))
    yield _good("cmyk.tiff", saved(image.convert("CMYK"), "TIFF"))
    yield _good("packed.tiff", saved(image, "TIFF", compression="tiff_lzw"))
    yield _good("alpha.webp", saved(image.convert("RGBA"), "WEBP", lossless=True))
    yield _good("animated.gif", _frames("GIF"))
    yield _good("animated.webp", _frames("WEBP"))
    yield _good("animated.png", _frames("PNG"))
    yield _good("pages.tiff", _frames("TIFF"))
    yield _good("palette.bmp", saved(image.convert("P"), "BMP"))
    yield _good("extension-of-another.png", saved(image, "JPEG"))
    yield _good("bytes-behind-its-end.jpg", saved(image, "JPEG") + bytes(1000))
    yield OddFile("one-pixel.png", saved(image.resize((1, 1)), "PNG"), 200, (1, 1))
    yield OddFile("line.png", saved(image.resize((3000, 1)), "PNG"), 200, (3000, 1))


def _turned() -> Iterator[OddFile]:
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        size = (WIDE, HIGH) if turn < 5 else (HIGH, WIDE)
        yield OddFile(f"exif-{turn}.jpg", saved(picture(), "JPEG", exif=exif), 200, size)
    exif[0x0112] = 77
    yield _good("exif-of-no-meaning.jpg", saved(picture(), "JPEG", exif=exif))


def _truncated() -> Iterator[OddFile]:
    """Files that end early; noise, so that every twentieth of the file is of the picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)
    for format in ("JPEG", "PNG"):
        data = saved(Image.fromarray(pixels), format)
        for twentieth in range(20):
            end = max(len(data) * twentieth // 20, 16 if twentieth else 0)
            yield OddFile(f"cut-{twentieth}.{format.lower()}", data[:end], 422)
    for format in ("WEBP", "GIF", "TIFF", "BMP"):
        yield OddFile(f"cut.{format.lower()}", (data := saved(picture(), format))[: len(data) // 2], 422)


def _broken() -> Iterator[OddFile]:
    yield OddFile("empty.jpg", b"", 422)
    yield OddFile("text.png", b"this is a text that somebody named so", 415)
    yield OddFile("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415)
    yield OddFile("paper.pdf", b"%PDF-1.7\n", 415)
    yield OddFile("sound.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", 415)
    yield OddFile("photo.heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", 415)
    yield OddFile("zeros.bin", bytes(5000), 415)
    yield OddFile("huge-header.png", _png_of(60_000, 60_000), 422)
    yield OddFile("larger-than-allowed.png", _png_of(20_000, 20_000), 422)
    yield OddFile("no-pixels.png", _png_of(0, 0), 422)
    yield OddFile("wrong-checksum.png", _damaged(saved(picture(), "PNG"), -20), 422)
    yield OddFile("only-a-header.gif", b"GIF89a\x10\x00\x10\x00\x00\x00\x00", 422)
    yield OddFile("only-a-header.tiff", b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", 422)


def _good(name: str, data: bytes) -> OddFile:
    return OddFile(name, data, 200, (WIDE, HIGH))


def _frames(format: str) -> bytes:
    other = Image.new("RGB", (WIDE, HIGH), "red")
    return saved(picture(), format, save_all=True, append_images=[other, other])


def _png_of(width: int, height: int) -> bytes:
    """A PNG that says that it is of this size, and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _damaged(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 0xFF
    return bytes(changed)
