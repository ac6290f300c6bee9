"""What can still be seen of a picture that was skipped: a small one beside its reason, where there is any."""

import io

from PIL import Image

from ...cache.places import Place
from ..errors import UnreadableImage
from .images import ReadingPolicy, decode_image, quiet_decoders
from .sources import read_file

SIDE = 96
"""Pixels."""
_LENIENT = ReadingPolicy(truncated="accept")


def draw_remains(path: Place) -> bytes | None:
    """Return a PNG of what can be decoded, gray around it to a square; None where nothing can.

    A JPEG that was cut off shows its upper part, and a picture that was refused for its size shows
    all of itself unless it is beyond the default limit, too.
    """
    try:
        with quiet_decoders(_LENIENT):
            pixels = decode_image(read_file(path, _LENIENT), (SIDE, SIDE), "pad-bilinear", _LENIENT)
    except (OSError, UnreadableImage):
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
