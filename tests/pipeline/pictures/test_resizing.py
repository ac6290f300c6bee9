"""Squash, crop and pad: what is kept, what is cut off, what is filled."""

import numpy as np
import pytest
from demijohn.pipeline.errors import InvalidRequest
from demijohn.pipeline.pictures.resizing import MODES, choose_resize, resize_image, scale_size
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

BARS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def bars(width: int, height: int, *, upright: bool = False) -> Image.Image:
    """Return three bars: left to right, or top to bottom."""
    row = np.repeat(np.array(BARS, np.uint8), width // 3 if not upright else height // 3, axis=0)
    pixels = np.repeat(row[:, None] if upright else row[None], width if upright else height, axis=int(upright))
    return Image.fromarray(np.ascontiguousarray(pixels))


def test_squash_keeps_everything() -> None:
    pixels = np.asarray(resize_image(bars(90, 30), (30, 30), "squash-bilinear"))
    assert [tuple(pixels[15, x]) for x in (3, 15, 27)] == list(BARS)


@pytest.mark.parametrize("upright", [False, True])
def test_crop_keeps_the_centre_of_the_longer_side(upright: bool) -> None:
    image = bars(30, 90, upright=True) if upright else bars(90, 30)
    pixels = np.asarray(resize_image(image, (20, 20), "crop-bicubic"))
    # The filter reaches a little over the edge of the box.
    assert np.abs(pixels[2:-2, 2:-2].astype(int) - [0, 255, 0]).max() == 0
    assert np.abs(pixels.astype(int) - [0, 255, 0]).max() <= 16


def test_crop_keeps_the_aspect() -> None:
    image = Image.new("RGB", (200, 100))
    image.paste("white", (80, 30, 120, 70))
    pixels = np.asarray(resize_image(image, (50, 50), "crop-bilinear"))[..., 0]
    assert (pixels[25] > 127).sum() == (pixels[:, 25] > 127).sum() == 20


@pytest.mark.parametrize("upright", [False, True])
def test_pad_keeps_everything_and_fills_with_gray(upright: bool) -> None:
    image = bars(30, 90, upright=True) if upright else bars(90, 30)
    pixels = np.asarray(resize_image(image, (60, 60), "pad-bilinear"))
    if upright:
        pixels = pixels.swapaxes(0, 1)
    assert [tuple(pixels[30, x]) for x in (5, 30, 55)] == list(BARS)
    assert (pixels[:20] == 128).all()
    assert (pixels[40:] == 128).all()


def test_what_shrinks_is_antialiased() -> None:
    fine = np.indices((128, 128)).sum(axis=0) % 2 * np.uint8(255)
    image = Image.fromarray(fine.astype(np.uint8)).convert("RGB")
    for resize in ("squash-bilinear", "crop-bicubic", "pad-bilinear"):
        pixels = np.asarray(resize_image(image, (16, 16), resize)).astype(int)
        assert np.abs(pixels - 127).max() <= 3


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 300)),
    st.booleans(),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(MODES),
)
def test_every_shape_comes_to_the_size_and_a_plain_colour_stays(
    source: tuple[int, int], upright: bool, size: tuple[int, int], mode: str
) -> None:
    image = Image.new("RGB", source[::-1] if upright else source, (10, 200, 30))
    resized = resize_image(image, size, f"{mode}-bicubic")
    assert resized.size == size
    centre = resized.getpixel((size[0] // 2, size[1] // 2))
    assert centre == (10, 200, 30) or mode == "pad"


@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.sampled_from(MODES))
def test_a_whole_picture_covers_or_fits_the_size(source: tuple[int, int], mode: str) -> None:
    width, height = scale_size(source, (224, 200), f"{mode}-bilinear")
    if mode == "crop":
        assert min(width / 224, height / 200) == pytest.approx(1)
    elif mode == "pad":
        assert max(width / 224, height / 200) == pytest.approx(1)
    else:
        assert (width, height) == (224, 200)


def test_another_mode_keeps_the_filter_of_the_backbone() -> None:
    assert choose_resize("squash-bicubic", "pad") == "pad-bicubic"
    assert choose_resize("crop-bilinear", None) == "crop-bilinear"
    with pytest.raises(InvalidRequest, match="expected one of squash, crop, pad"):
        choose_resize("squash-bicubic", "stretch")
