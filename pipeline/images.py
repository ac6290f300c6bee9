"""Bytes to pixels: the one decoder that every stage uses.

The policy, which is part of every recipe: the EXIF orientation is applied; 16-bit gray is scaled
to 8 bits by range, never saturated; transparency is composited on white; everything becomes RGB;
of an animation the first frame is read. A picture that cannot be decoded whole is refused.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .errors import UnreadableImage

DECODER = "pillow"
COLOUR = "rgb8, alpha on white, 16-bit scaled"
ORIENTATION = "exif"
POLICY = f"{COLOUR}; {ORIENTATION}"

_FILTERS = {"squash-bilinear": Image.Resampling.BILINEAR, "squash-bicubic": Image.Resampling.BICUBIC}


def decoder_version() -> str:
    """Return name and version of the decoder; a refusal holds for this version only."""
    return f"{DECODER} {version('pillow')}"


def decode_image(content: bytes, size: tuple[int, int], resize: str) -> NDArray[np.uint8]:
    """Return the pixels of a picture at the size that a backbone sees.

    Parameters
    ----------
    content : bytes
        The file.
    size : (int, int)
        Height and width, pixels.
    resize : str
        `squash-bilinear` or `squash-bicubic`: both sides are scaled to `size`, antialiased,
        whatever the aspect; nothing is cut off.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
        RGB.

    Raises
    ------
    UnreadableImage
        The message is the reason.
    """
    height, width = size
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            rgb = _to_rgb(_upright(image))
        return np.asarray(rgb.resize((width, height), _FILTERS[resize]))
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:
        # Decoders raise whatever their parser stumbles over: OSError, SyntaxError, struct.error, ...
        raise UnreadableImage(_reason(error, content)) from error


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Silence Pillow's warnings of odd metadata and large pictures, which change no pixel.

    To be entered in the main thread, around all decoding: Python's warning filters belong to the
    process, and threads that change and restore them leave them in disorder.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        yield


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - a broken EXIF block states no orientation; the pixels are sound
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        deep = np.asarray(image, dtype=np.uint16)
        # 65535 / 255 = 257, so the full range maps onto the full range.
        return Image.fromarray(((deep + 128.0) / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnreadableImage(f"pixels of mode {image.mode} have no known range")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, "white")
        return Image.alpha_composite(white, colour).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception, content: bytes) -> str:
    if not content:
        return "the file is empty"
    if type(error).__name__ == "UnidentifiedImageError":
        return "not a picture, or of an unknown kind"
    text = " ".join(str(error).split())
    return text or type(error).__name__
