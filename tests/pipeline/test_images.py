"""One decoder: orientation, depth, colour and transparency by a stated policy; what is broken is refused."""

import contextlib

import numpy as np
import pytest
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.images import decode_image, quiet_decoders
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.pictures import encode, picture

SIZE = (20, 24)
PHOTO = picture(0, size=(24, 20))


def decode(content: bytes, size: tuple[int, int] = SIZE) -> np.ndarray:
    with quiet_decoders():
        return decode_image(content, size, "squash-bilinear")


def test_the_pixels_of_a_picture_that_needs_no_resize_are_its_own() -> None:
    assert (decode(encode(PHOTO)) == np.asarray(PHOTO)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_kind_is_read(kind: str) -> None:
    pixels = decode(encode(PHOTO, kind), (10, 12))
    assert pixels.shape == (10, 12, 3)
    assert pixels.dtype == np.uint8
    assert abs(pixels.astype(float).mean() - np.asarray(PHOTO).mean()) < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = PHOTO if undo is None else PHOTO.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (decode(encode(stored, exif=exif)) == np.asarray(PHOTO)).all()


def test_sixteen_bit_gray_is_scaled_and_not_saturated() -> None:
    ramp = np.linspace(0, 65535, 480).astype(np.uint16).reshape(20, 24)
    pixels = decode(encode(Image.fromarray(ramp)))
    assert abs(pixels[..., 0] - ramp / 257).max() <= 1
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_white(mode: str) -> None:
    image = Image.new("RGBA", (24, 20), (10, 20, 30, 0))
    content = encode(image.quantize() if mode == "P" else image.convert(mode))
    assert (decode(content) == 255).all()


def test_opaque_palette_keeps_its_colours() -> None:
    image = Image.new("RGB", (24, 20), (10, 200, 30)).quantize(4)
    assert np.abs(decode(encode(image)).astype(int) - [10, 200, 30]).max() <= 2


def test_of_an_animation_the_first_frame_is_read() -> None:
    frames = [Image.new("RGB", (24, 20), colour) for colour in ("red", "blue")]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content)[0, 0] == [255, 0, 0]).all()


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (24, 20), (0, 255, 255, 0))
    red = decode(encode(image, "JPEG", quality=95))[10, 10].astype(int)
    assert red[0] > 200
    assert max(red[1], red[2]) < 60


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"this is a text", "not a picture"),
        (encode(picture(0, size=(200, 160)), "JPEG")[:-2000], "truncated"),
        (encode(PHOTO)[:60], "truncated"),
        (encode(Image.new("F", (4, 4)), "TIFF"), "range"),
    ],
)
def test_what_is_broken_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(content)


def test_a_broken_exif_block_does_not_cost_the_picture() -> None:
    content = encode(PHOTO, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode(content).shape == (20, 24, 3)


@given(st.data())
def test_damaged_bytes_are_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    content = bytearray(encode(PHOTO, data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableImage):
        assert decode(bytes(content)).shape == (20, 24, 3)
