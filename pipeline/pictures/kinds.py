"""Which kinds of picture are read, by their content and never by their name, and why another file is not one.

Only these kinds are tried. Pillow knows forty, among them some that start other programs
(PostScript), that are no pictures (HDF5), or that are guessed without any mark in the file.
"""

import functools
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from PIL import (  # noqa: F401 - a plugin that is imported is registered; Pillow's own lazy way is not meant for threads
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ..errors import UnreadableImage

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "PSD")
"""As Pillow names them, the usual ones first; HEIC is added where pillow-heif is installed."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1")
_HEAD = 512
"""Bytes of a file that tell what it is."""
_STARTS = {
    b"%PDF": "a PDF document, not a picture",
    b"%!PS": "a PostScript document, not a picture",
    b"PK\x03\x04": "a ZIP archive, not a picture",
    b"Rar!": "a RAR archive, not a picture",
    b"\x1f\x8b": "a gzip archive, not a picture",
    b"RIFF": "a RIFF file that is not WebP",
    b"\xff\xd8": "damaged: a JPEG whose header cannot be understood",
    b"\x89PNG": "damaged: a PNG whose header cannot be understood",
    b"GIF8": "damaged: a GIF whose header cannot be understood",
    b"II*\x00": "a TIFF of a kind that is not read, or damaged",
    b"MM\x00*": "a TIFF of a kind that is not read, or damaged",
    b"BM": "a BMP of a kind that is not read, or damaged",
}
_MARKUP = {
    b"<svg": "an SVG drawing, which has no pixels",
    b"<html": "an HTML page, not a picture",
    b"<!doctype html": "an HTML page, not a picture",
}
_JPEG_MOST_SCANS = 500
_SOF_PROGRESSIVE = (0xC2, 0xCA)
_SOF_LOSSLESS = (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
_SOS = 0xDA
_SOF = (0xC0, 0xC1, *_SOF_PROGRESSIVE, 0xC9, *_SOF_LOSSLESS)


def kinds_for(content: bytes) -> tuple[str, ...]:
    """Return the kinds that Pillow shall try on a file.

    pillow-heif is loaded with the first file that looks like HEIC.
    """
    kinds = KINDS if "AVIF" in Image.OPEN else tuple(kind for kind in KINDS if kind != "AVIF")
    return ("HEIF", *kinds) if _is_heic(content) and _register_heif() else kinds


def heif_version() -> str | None:
    """Return the version of pillow-heif, or None where it is not installed."""
    try:
        return version("pillow-heif")
    except PackageNotFoundError:
        return None


def name_unknown(content: bytes) -> str:
    """Return what a file is that none of the kinds is found in.

    >>> name_unknown(b"<!DOCTYPE html><html>not found</html>")
    'an HTML page, not a picture'
    >>> name_unknown(b"cats and dogs")
    'a text file, not a picture'
    """
    if not content:
        return "the file is empty"
    if _is_heic(content) and heif_version() is None:
        return "HEIC, which needs pillow-heif: pip install 'demijohn[heif]'"
    head = content[:_HEAD]
    if head[4:8] == b"ftyp":
        return "a video or another kind of picture that is not read, or damaged"
    starts = [reason for start, reason in _STARTS.items() if head.startswith(start)]
    markup = [reason for mark, reason in _MARKUP.items() if mark in head.lower()]
    text = ["a text file, not a picture"] if _is_text(head) else []
    return [*starts, *markup, *text, "not a picture, or of an unknown kind"][0]


def check_jpeg(content: bytes) -> None:
    """Refuse a JPEG that the decoder cannot read, or not in a sensible time.

    Raises
    ------
    UnreadableImage
        It is lossless, or it has hundreds of scans, or it ends where its first scan should begin.
    """
    frame = None
    for marker, end in _jpeg_segments(content):
        if marker in _SOF and frame is None:
            frame = marker
        if marker == _SOS and end >= len(content):
            raise UnreadableImage("truncated: the file ends before its first row")
    if frame in _SOF_LOSSLESS:
        raise UnreadableImage("a lossless or hierarchical JPEG, which is not read")
    # A few bytes of a scan can cost as much as a whole picture (the limit is that of libjpeg-turbo's own fuzzers).
    if frame in _SOF_PROGRESSIVE and content.count(bytes([0xFF, _SOS])) > _JPEG_MOST_SCANS:
        raise UnreadableImage(f"a JPEG of more than {_JPEG_MOST_SCANS} scans")


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and end of each segment up to the first scan, or up to where the header is damaged."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:
            # It may be repeated before a marker.
            position += 1
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        yield marker, position
        if marker == _SOS:
            return


def _is_heic(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS


@functools.cache
def _register_heif() -> bool:
    if heif_version() is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _is_text(head: bytes) -> bool:
    # A character may be cut in two at the end of the head, and is left out then.
    text = head.decode("utf-8", "ignore")
    return len(text.encode()) > len(head) - 4 and all(
        character.isprintable() or character.isspace() for character in text
    )
