"""Bytes to pixels: the one decoder that every stage uses.

The policy, which is part of every recipe: content decides what a file is, its name does not; the
EXIF orientation is applied; pixels become 8-bit sRGB (`colour`); of an animation or a document
the first frame is read; a picture that cannot be decoded whole is refused, and so is one of more
pixels than are allowed, before it is decoded.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...cache.part import Key
from ..errors import InvalidRequest, UnreadableImage
from .augmentation import ORIGINAL, View, make_view
from .colour import to_rgb
from .kinds import check_jpeg, heif_version, kinds_for, name_unknown
from .resizing import scale_size

DECODER = "pillow"
COLOUR = "srgb8 by icc profile, gray scaled by range, alpha on white, cmyk as adobe"
ORIENTATION = "exif"
MAX_PIXELS = 120_000_000
"""Somewhat more than the largest cameras (108 million); 480 MB where Pillow holds it as RGB."""
OVERSAMPLING = 2
"""A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 that is this many times what the network sees."""

Truncated = Literal["refuse", "accept"]
_ACCEPTED = ", truncated jpeg accepted"

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = (5, 6, 7, 8)
_REASONS = {
    "Truncated File Read": "truncated or damaged within its header",
    "truncated": "truncated: the file ends before the picture does",
    "MAX_TEXT_CHUNK": "its metadata unpack to more than a megabyte",
    "MAX_TEXT_MEMORY": "its metadata unpack to more than a megabyte",
    "broken data stream": "damaged: its data cannot be decoded",
    "unrecognized data stream": "damaged: its data cannot be decoded",
}


@dataclass(frozen=True, slots=True)
class ReadingPolicy:
    """What the user may choose about reading pictures.

    Raises
    ------
    InvalidRequest
        A choice makes no sense.
    """

    truncated: Truncated = "refuse"
    """What is done with a JPEG that ends too early: refused, or the rest is taken as gray."""
    max_pixels: int = MAX_PIXELS
    """Width times height above which a picture is refused."""

    def __post_init__(self) -> None:
        if self.truncated not in get_args(Truncated):
            raise InvalidRequest(
                f"truncated pictures cannot be treated by {self.truncated!r}: expected refuse or accept"
            )
        if self.max_pixels < 1:
            raise InvalidRequest(f"max_pixels is {self.max_pixels}: expected a number above 0")

    @classmethod
    def of(cls, decoder: str) -> "ReadingPolicy":
        """Return the policy by which a recipe with this decoder read its pictures."""
        return cls("accept" if decoder.endswith(_ACCEPTED) else "refuse")

    @property
    def colour(self) -> str:
        """What is done with colour, depth and transparency, as it stands in a recipe."""
        return COLOUR

    @property
    def decoder(self) -> str:
        """What turns bytes into pixels, as it stands in a recipe."""
        accepted = _ACCEPTED if self.truncated == "accept" else ""
        return f"{DECODER}, jpeg scaled to {OVERSAMPLING}x{accepted}"

    @property
    def outcome(self) -> str:
        """All that decides whether a picture is read or refused; a refusal holds for this policy only."""
        return f"{COLOUR}; {ORIENTATION}; {self.decoder}; at most {self.max_pixels} pixels"

    @property
    def max_bytes(self) -> int:
        """Size above which a file is not read: 8 bytes per pixel that is allowed, which is 16-bit RGBA."""
        return 8 * max(self.max_pixels, 1 << 20)


DEFAULT_POLICY = ReadingPolicy()


def decoder_version() -> str:
    """Return names and versions of the decoders; a refusal holds for these versions only."""
    heif = heif_version()
    return f"{DECODER} {version('pillow')}" + (f", pillow-heif {heif}" if heif else "")


def decode_image(
    content: bytes, size: tuple[int, int], resize: str, policy: ReadingPolicy = DEFAULT_POLICY
) -> NDArray[np.uint8]:
    """Return the pixels of a picture at the size that a backbone sees; see `decode_views`."""
    return decode_views(content, size, resize, policy)[0]


def decode_views(
    content: bytes,
    size: tuple[int, int],
    resize: str,
    policy: ReadingPolicy = DEFAULT_POLICY,
    *,
    key: Key = b"",
    views: Sequence[View] = (ORIGINAL,),
) -> list[NDArray[np.uint8]]:
    """Return the pixels of some views of a picture, decoded once, at the size that a backbone sees.

    Parameters
    ----------
    content : bytes
        The file.
    size : (int, int)
        Height and width, pixels.
    resize : str
        Mode and filter, for example `squash-bicubic`; see `resizing`.
    policy : ReadingPolicy
    key : Key
        Of the content; views other than the picture itself hang on it.
    views : sequence of View, length v

    Returns
    -------
    list of v ndarrays of shape (h, w, 3), uint8
        RGB.

    Raises
    ------
    UnreadableImage
        The message is the reason.
    """
    height, width = size
    try:
        rgb = _read_upright(content, (width, height), resize, policy)
        return [np.asarray(make_view(rgb, (width, height), resize, key, view)) for view in views]
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:
        # Decoders raise whatever their parser stumbles over: OSError, SyntaxError, struct.error, ...
        raise UnreadableImage(_reason(error, content, policy)) from error


@contextmanager
def quiet_decoders(policy: ReadingPolicy = DEFAULT_POLICY) -> Iterator[None]:
    """Silence Pillow's warnings of odd metadata and large pictures, and set its own limit to the policy's.

    To be entered in the main thread, around all decoding: Python's warning filters and Pillow's
    limit belong to the process, and threads that change and restore them leave them in disorder.
    """
    before = Image.MAX_IMAGE_PIXELS
    # Pillow raises at twice its limit, also for what `decode_image` does not see: a tile, a frame within a file.
    Image.MAX_IMAGE_PIXELS = policy.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _read_upright(content: bytes, size: tuple[int, int], resize: str, policy: ReadingPolicy) -> Image.Image:
    """Return a picture in sRGB, the right way up, not smaller than it is needed."""
    is_jpeg = content.startswith(_JPEG_START)
    if is_jpeg:
        check_jpeg(content)
        if policy.truncated == "accept":
            # The decoder ends at the first such mark, so that a whole picture is not changed by another one.
            content += _JPEG_END
    with Image.open(io.BytesIO(content), formats=kinds_for(content)) as image:
        if image.width * image.height > policy.max_pixels:
            raise UnreadableImage(_too_large(policy, f"{image.width:,} x {image.height:,}"))
        if is_jpeg:
            _draft(image, size, resize)
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        rgb = to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _draft(image: Image.Image, size: tuple[int, int], resize: str) -> None:
    """Have a JPEG decoded at a fraction of its size, where that leaves enough pixels."""
    stored = size[::-1] if _orientation(image) in _ON_THEIR_SIDE else size
    width, height = scale_size(image.size, stored, resize)
    image.draft(None, (max(1, round(OVERSAMPLING * width)), max(1, round(OVERSAMPLING * height))))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block states no orientation; the pixels are sound
        return 1


def _too_large(policy: ReadingPolicy, found: str) -> str:
    return f"more than the {policy.max_pixels:,} pixels that --max-pixels allows ({found})"


def _reason(error: Exception, content: bytes, policy: ReadingPolicy) -> str:
    """Return why a picture cannot be read, the same words for the same cause, so that files can be grouped by it."""
    if not content or isinstance(error, UnidentifiedImageError):
        return name_unknown(content)
    text = " ".join(str(error).split())
    if isinstance(error, Image.DecompressionBombError):
        count = re.search(r"\d+", text)
        return _too_large(policy, f"{int(count[0]):,} pixels" if count else "many more")
    for words, reason in _REASONS.items():
        if words in text:
            return reason
    return f"damaged: {text or type(error).__name__}"
