import io
import warnings

import numpy as np
import pytest
from PIL import Image

from t2ipal.images.codec import ImageError, ImageTooLarge, UnknownFormat, decode, encode, sha256


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def saved(image, format, **settings):
    buffer = io.BytesIO()
    image.save(buffer, format, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["webp", "png"])
def test_lossless_formats_keep_every_pixel(picture, format):
    assert np.array_equal(decode(encode(picture, format, 100)), picture)


@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_quality_trades_bytes_for_pixels(format):
    smooth = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))).convert("RGB")
    low, high = encode(smooth, format, 20), encode(smooth, format, 95)
    assert len(low) < len(high)
    assert np.abs(np.asarray(decode(high), int) - np.asarray(smooth, int)).mean() < 4


@pytest.mark.parametrize("format", ["webp", "png", "jpeg"])
def test_the_same_pixels_give_the_same_bytes(picture, format):
    assert sha256(encode(picture, format, 90)) == sha256(encode(picture.copy(), format, 90))


def test_exif_orientation_is_applied(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees counter-clockwise to view
    assert np.array_equal(
        decode(saved(picture, "PNG", exif=exif)), picture.transpose(Image.Transpose.ROTATE_270)
    )


def test_transparent_pixels_become_white():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert [decode(saved(image, "PNG")).getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (255, 255, 255)]


def test_palette_transparency_becomes_white():
    image = Image.new("P", (1, 1), 0)
    image.putpalette([9, 9, 9])
    assert decode(saved(image, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    image = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert [p[0] for p in np.asarray(decode(saved(image, "PNG")))[0]] == [0, 128, 255]


def test_the_first_frame_of_an_animation(picture):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    assert decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:])).getpixel((0, 0)) == (
        255,
        0,
        0,
    )


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7", b"<svg/>", b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_not_an_image(data):
    with pytest.raises(UnknownFormat, match="not an image in a known format"):
        decode(data)


def test_no_bytes():
    with pytest.raises(ImageError, match="the image is empty"):
        decode(b"")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("kept", [20, 0.5])
def test_a_truncated_image(picture, format, kept):
    data = saved(picture, format)
    with pytest.raises(ImageError, match="the image is damaged") as raised:
        decode(data[: kept if kept > 1 else int(len(data) * kept)])
    assert not isinstance(raised.value, UnknownFormat)


def test_too_many_pixels(picture):
    with pytest.raises(ImageTooLarge, match="32 x 24 pixels; at most 767 are read"):
        decode(saved(picture, "PNG"), max_pixels=32 * 24 - 1)
    assert decode(saved(picture, "PNG"), max_pixels=32 * 24).size == (32, 24)


def test_a_decompression_bomb_is_refused_without_a_warning():
    bomb = saved(
        Image.new("1", (12000, 12000)), "PNG"
    )  # 144 M pixels in 20 kB: Pillow itself would only warn
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(ImageTooLarge):
            decode(bomb, max_pixels=50_000_000)
    assert heard == []
