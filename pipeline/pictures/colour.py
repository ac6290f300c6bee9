"""Any pixels to 8-bit sRGB, by a stated policy per mode.

gray of 9 to 16 bits    scaled by the range of its depth, never saturated
colour of 16 bits       its upper 8 bits
transparency            composited on white
CMYK, YCCK              inverted in JPEG, as Adobe writes it and every browser reads it
ICC profile             converted to sRGB; one that is broken, or of another kind of pixels, is ignored
32-bit, floating point  refused: nothing tells which value is white
"""

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ..errors import UnreadableImage

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_MIN_IS_WHITE = 258, 262, 0
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_NO_DIFFERENCE = 2
"""Levels: a profile that moves no colour by more than this is sRGB in all but name."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded picture as 8-bit sRGB.

    Raises
    ------
    UnreadableImage
        Its pixels have no known range.
    """
    colour, alpha = _split_alpha(_to_eight_bits(image))
    if colour.mode not in _SPACES:
        # Palettes, 1-bit, YCbCr, LAB.
        colour = colour.convert("L" if colour.mode == "1" else "RGB")
    profile = image.info.get("icc_profile")
    transform = _to_srgb(profile, colour.mode) if isinstance(profile, bytes) and profile else None
    # Under its old name, so that memory holds one copy less; most pictures are RGB and need none.
    if transform is not None:
        colour = _apply(transform, colour)
    elif colour.mode != "RGB":
        colour = colour.convert("RGB")
    if alpha is None:
        return colour
    white = Image.new("RGB", colour.size, "white")
    white.paste(colour, mask=alpha)
    return white


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a deep gray picture as 8-bit gray, with alpha where one value is transparent; others as they are."""
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels, of which nothing tells the range")
    # Pillow reads a deep PGM as 32-bit numbers that it has scaled to 16 bits.
    if image.mode == "I" and image.format != "PPM":
        raise UnreadableImage("32-bit pixels, of which nothing tells the range")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    tags = getattr(image, "tag_v2", {})
    depth = tags.get(_TIFF_BITS, 16)
    deep = np.asarray(image).astype(np.uint16, copy=False)
    shallow = _scale_table(depth[0] if isinstance(depth, tuple) else depth)[deep]
    if tags.get(_TIFF_PHOTOMETRIC) == _TIFF_MIN_IS_WHITE:
        shallow = 255 - shallow
    gray = Image.fromarray(shallow)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Image.fromarray((deep != transparent).astype(np.uint8) * np.uint8(255)))
    return gray


@functools.cache
def _scale_table(bits: int) -> NDArray[np.uint8]:
    """Return the 8-bit level of every 16-bit number, the greatest of `bits` bits being white: (65536,)."""
    greatest = (1 << bits) - 1 if 8 < bits < 16 else 65_535
    numbers = np.minimum(np.arange(65_536), greatest)
    return ((numbers * 255 + greatest // 2) // greatest).astype(np.uint8)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return colour and opacity; the latter is None where everything is opaque."""
    transparent = image.info.get("transparency")
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    elif image.mode in ("P", "PA") and (image.mode == "PA" or transparent is not None):
        image = image.convert("RGBA")
    elif image.mode in ("1", "L") and transparent is not None:
        image = image.convert("LA")
    elif image.mode == "RGB" and transparent is not None:
        image = _key_out(image, transparent)
    if image.mode not in ("RGBA", "LA"):
        return image, None
    return image.convert(image.mode[:-1]), image.getchannel("A")


def _key_out(image: Image.Image, transparent: object) -> Image.Image:
    """Return an RGB picture in which one colour is transparent."""
    if not isinstance(transparent, tuple):
        return image
    if max(transparent) > 255:
        # A PNG of 16 bits states its transparent colour in 16, of which Pillow has kept the upper 8.
        image = image.copy()
        image.info["transparency"] = tuple(level >> 8 for level in transparent)
    return image.convert("RGBA")


@functools.lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what converts pixels of a profile to sRGB; None where they are sRGB or the profile is of no use."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
        )
        if mode == "CMYK":
            return transform
        cube = _colour_cube(mode)
        moved = np.asarray(_apply(transform, cube)).astype(int) - np.asarray(cube.convert("RGB"))
    except Exception:  # noqa: BLE001 - lcms raises whatever it stumbles over; the pixels are sound without the profile
        return None
    return transform if np.abs(moved).max() > _NO_DIFFERENCE else None


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def _colour_cube(mode: str) -> Image.Image:
    """Return all grays, or the colours of a 16 x 16 x 16 grid."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3))
