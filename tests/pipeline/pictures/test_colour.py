"""Depth, colour and transparency: what white, black and red become from every kind of pixel."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures.images import decode_image, quiet_decoders
from PIL import Image
from support.kinds import deep_gray, frames, png, smooth, tiff, ycck
from support.pictures import encode, picture
from support.profiles import cmyk_profile, gray_profile, rgb_profile

SIZE = (20, 24)
PHOTO = picture(0)


def decode(content: bytes) -> np.ndarray:
    with quiet_decoders():
        return decode_image(content, SIZE, "squash-bilinear").astype(int)


def apart(content: bytes, expected: object) -> int:
    """Return the greatest difference of any level."""
    return int(np.abs(decode(content) - np.asarray(expected).astype(int)).max())


def gray(levels: np.ndarray) -> np.ndarray:
    """Return (h, w) levels as (h, w, 3)."""
    return np.repeat(levels[..., None], 3, axis=-1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
def test_sixteen_bit_gray_is_scaled_and_not_saturated(kind: str) -> None:
    assert apart(encode(Image.fromarray(deep_gray()), kind), gray(deep_gray() / 257)) <= 1


def test_deep_pgm_is_scaled() -> None:
    content = b"P5 24 20 65535\n" + deep_gray().astype(">u2").tobytes()
    assert apart(content, gray(deep_gray() / 257)) <= 1


def test_twelve_bits_are_scaled_by_their_own_range() -> None:
    assert apart(tiff(deep_gray(12), bits=12), gray(deep_gray(12) / 4095 * 255)) <= 1


def test_a_scan_in_which_zero_is_white_is_not_read_as_its_negative() -> None:
    assert apart(tiff(deep_gray(), min_is_white=True), gray(255 - deep_gray() / 257)) <= 1


@pytest.mark.parametrize("colour", [2, 6])
def test_sixteen_bit_colour_keeps_its_upper_bits(colour: int) -> None:
    deep = np.random.default_rng(0).integers(0, 65_536, (*SIZE, 3 if colour == 2 else 4)).astype(np.uint16)
    deep[..., 3:] = 65_535
    assert apart(png(deep, colour=colour), deep[..., :3] / 257) <= 1


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_range_are_refused(mode: str) -> None:
    with pytest.raises(UnreadableImage, match="nothing tells the range"):
        decode(encode(Image.new(mode, (24, 20)), "TIFF"))


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "GIF"), ("RGBA", "WEBP")]
)
def test_transparency_shows_white(mode: str, kind: str) -> None:
    image = Image.new("RGBA", (24, 20), (10, 20, 30, 0))
    assert apart(encode(image.quantize() if mode == "P" else image.convert(mode), kind), 255) == 0


def test_half_transparent_is_half_white() -> None:
    assert apart(encode(Image.new("RGBA", (24, 20), (0, 100, 200, 128))), [127, 177, 227]) <= 1


def test_one_transparent_colour_of_a_deep_picture_shows_white() -> None:
    deep = np.full(SIZE, 1000, np.uint16)
    deep[:10] = 500
    # Pixels that differ from the transparent value by little stay opaque.
    deep[15:] = 501
    pixels = decode(png(deep, colour=0, transparent=(500,)))
    assert (pixels[:10] == 255).all()
    assert (pixels[10:] <= 4).all()


def test_one_transparent_colour_of_a_deep_colour_picture_shows_white() -> None:
    deep = np.full((*SIZE, 3), 20_000, np.uint16)
    deep[:10] = (60_000, 300, 0)
    pixels = decode(png(deep, colour=2, transparent=(60_000, 300, 0)))
    assert (pixels[:10] == 255).all()
    assert (pixels[10:] == 20_000 // 256).all()


def test_one_transparent_colour_shows_white() -> None:
    image = Image.new("RGB", (24, 20), (9, 8, 7))
    image.paste((200, 100, 0), (0, 10, 24, 20))
    pixels = decode(encode(image, transparency=(9, 8, 7)))
    assert (pixels[:10] == 255).all()
    assert (pixels[10:] == [200, 100, 0]).all()


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (24, 20), 1)
    image.paste(0, (0, 0, 24, 10))
    for kind in ("PNG", "TIFF", "BMP"):
        pixels = decode(encode(image, kind))
        assert (pixels[:10] == 0).all()
        assert (pixels[10:] == 255).all()
    assert (decode(encode(image, transparency=0)) == 255).all()


def test_opaque_palette_keeps_its_colours() -> None:
    assert apart(encode(Image.new("RGB", (24, 20), (10, 200, 30)).quantize(4)), [10, 200, 30]) <= 2


def test_gray_jpeg_is_gray() -> None:
    assert apart(encode(smooth().convert("L"), "JPEG", quality=95), gray(np.asarray(smooth().convert("L")))) <= 3


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    # A JPEG of Adobe holds inverted inks, a TIFF does not.
    assert apart(encode(smooth().convert("CMYK"), kind, quality=95), smooth()) <= 4
    red = Image.new("CMYK", (24, 20), (0, 255, 255, 0))
    assert apart(encode(red, kind, quality=95), [255, 0, 0]) <= 4


def test_ycck_is_read_as_its_colours() -> None:
    assert apart(ycck(smooth()), smooth()) <= 5


def test_lab_is_read_as_its_colours() -> None:
    from PIL import ImageCms

    lab = ImageCms.profileToProfile(
        smooth(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert apart(encode(lab, "TIFF"), smooth()) <= 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_is_converted_to_srgb(kind: str) -> None:
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    image = Image.new("RGB", (24, 20), (250, 10, 20))
    swapped = encode(image, kind, icc_profile=rgb_profile(order="grb"), **options)
    assert np.abs(decode(swapped)[10, 10] - [10, 250, 20]).max() <= 12


def test_a_profile_is_converted_where_there_is_alpha_or_a_palette() -> None:
    image = Image.new("RGBA", (24, 20), (250, 10, 20, 255))
    image.putpixel((0, 0), (250, 10, 20, 0))
    for content in (image, image.quantize(4)):
        pixels = decode(encode(content, icc_profile=rgb_profile(order="grb")))
        assert (pixels[0, 0] == 255).all()
        assert np.abs(pixels[10, 10] - [10, 250, 20]).max() <= 12


def test_a_gray_profile_is_converted() -> None:
    content = encode(Image.new("L", (24, 20), 55), icc_profile=gray_profile(1.0))
    # Linear light of 55/255 is level 128 of sRGB's curve.
    assert apart(content, 128) <= 2
    alpha = Image.new("LA", (24, 20), (55, 255))
    assert apart(encode(alpha, icc_profile=gray_profile(1.0)), 128) <= 2


def test_a_profile_of_inks_is_converted() -> None:
    cyan = Image.new("CMYK", (24, 20), (255, 0, 0, 0))
    plain = decode(encode(cyan, "JPEG", quality=95, icc_profile=cmyk_profile()))[10, 10]
    swapped = decode(encode(cyan, "JPEG", quality=95, icc_profile=cmyk_profile(order="mcyk")))[10, 10]
    assert np.abs(plain - [0, 255, 255]).max() <= 12
    assert np.abs(swapped - [255, 0, 255]).max() <= 12


@pytest.mark.parametrize(
    "profile",
    [b"no profile", rgb_profile()[:150], rgb_profile()[:128] + bytes(200), gray_profile(1.0), cmyk_profile()],
    ids=["text", "cut", "empty", "of gray", "of inks"],
)
def test_a_profile_that_is_broken_or_of_other_pixels_is_ignored(profile: bytes) -> None:
    assert apart(encode(PHOTO, icc_profile=profile), PHOTO) == 0


def test_a_profile_that_is_srgb_in_all_but_name_changes_nothing() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert apart(encode(PHOTO, icc_profile=profile), PHOTO) == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_is_read(kind: str) -> None:
    assert np.abs(decode(frames(kind))[10, 10] - [255, 0, 0]).max() <= 6


def test_the_default_image_of_an_animated_png_is_read() -> None:
    first, *rest = (Image.new("RGB", (24, 20), colour) for colour in ("red", "blue", "lime"))
    content = encode(first, save_all=True, append_images=rest, default_image=True)
    assert (decode(content)[10, 10] == [255, 0, 0]).all()


def test_threads_share_a_profile_and_give_the_same_pixels() -> None:
    content = encode(picture(3, size=(200, 160)).convert("CMYK"), "JPEG", icc_profile=cmyk_profile(order="mcyk"))
    with quiet_decoders(), ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(lambda _: decode_image(content, SIZE, "squash-bilinear").tobytes(), range(64)))
    assert len(set(decoded)) == 1
