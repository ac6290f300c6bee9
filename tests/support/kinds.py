"""A picture in every kind that is read, made from a seed; and what no encoder here can write, by hand."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from support.pictures import encode, picture
from support.profiles import cmyk_profile, gray_profile, rgb_profile

# picture(0).filter(GaussianBlur(2)) at quality 70 through `cjpeg -arithmetic`, without and with `-progressive`.
_TABLES = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAoHBwgHBgoICAgLCgoLDhgQDg0NDh0VFhEYIx8lJCIfIiEmKzcvJik0KSEiMEExNDk7Pj4+JS5ESUM8"
    "SDc9Pjv/2wBDAQoLCw4NDhwQEBw7KCIoOzs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozv/"
)
ARITHMETIC = base64.b64decode(
    _TABLES + "yQARCAAUABgDASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwCqSKbjx9E8XW1s00EUYw+FoyEr4aXwpKDHgr3FDHmzyZW7"
    "Ue7/2Q=="
)
ARITHMETIC_PROGRESSIVE = base64.b64decode(
    _TABLES
    + "ygARCAAUABgDASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAZ7kko91Hvfk/8wABBAF/9oACAEBAAEFAsD/zAAEEQX/2gAIAQMBAT8B"
    "wP/MAAQRBf/aAAgBAgEBPwHWgP/MAAQQBf/aAAgBAQAGPwLA/8wABBAF/9oACAEBAAE/IWAGMgAQ/9oADAMBAAIAAwAAABCmexCA/8wABBEF/9oA"
    "CAEDAQE/ED75BP/MAAQRBf/aAAgBAgEBPxALjB+4/8wABBAF/9oACAEBAAE/EBM7+LLhj2xywVHL/9k="
)

STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How pixels lie in a file of each orientation."""


def smooth(size: tuple[int, int] = (24, 20)) -> Image.Image:
    """Return a picture that survives JPEG well."""
    return picture(0, size=size).filter(ImageFilter.GaussianBlur(2))


def deep_gray(bits: int = 16) -> np.ndarray:
    """Return a ramp over the whole range: (20, 24) uint16."""
    return np.linspace(0, 2**bits - 1, 480).round().astype(np.uint16).reshape(20, 24)


def png(pixels: np.ndarray, *, colour: int, transparent: tuple[int, ...] = ()) -> bytes:
    """Return a PNG of 16 bits per channel; `colour` is 0 for gray, 2 for RGB, 4 for gray and alpha, 6 for RGBA."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))]
    if transparent:
        chunks.append((b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds no pixels."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def tiff(pixels: np.ndarray, *, bits: int = 16, min_is_white: bool = False) -> bytes:
    """Return an uncompressed gray TIFF; 12 bits are packed two pixels to three bytes."""
    height, width = pixels.shape
    if bits == 12:
        first, second = pixels[:, 0::2].astype(np.uint16), pixels[:, 1::2].astype(np.uint16)
        packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
        data = packed.astype(np.uint8).tobytes()
    else:
        data = pixels.astype("<u2").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 0 if min_is_white else 1), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def ycck(image: Image.Image) -> bytes:
    """Return a YCCK JPEG as Adobe writes it, of an RGB picture printed without black."""
    inks = Image.merge("RGB", [channel.point(lambda level: 255 - level) for channel in image.split()])
    luma = [channel.point(lambda level: 255 - level) for channel in inks.convert("YCbCr").split()]
    content = encode(Image.merge("CMYK", [*luma, Image.new("L", image.size, 0)]), "JPEG", quality=95)
    adobe = content.index(b"Adobe")
    # The last byte of Adobe's segment tells the transform: 0 is CMYK, 2 is YCCK.
    return content[: adobe + 11] + b"\2" + content[adobe + 12 :]


def turned(image: Image.Image, orientation: int, kind: str = "PNG", **options: Any) -> bytes:
    """Return a file whose pixels lie in an orientation, and which says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = STORED[orientation]
    return encode(image if turn is None else image.transpose(turn), kind, exif=exif, **options)


def frames(kind: str, colours: tuple[str, ...] = ("red", "blue")) -> bytes:
    """Return an animation or a document of one plain frame per colour."""
    pictures = [Image.new("RGB", (24, 20), colour) for colour in colours]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)


def every_kind(size: tuple[int, int] = (24, 20)) -> dict[str, bytes]:
    """Return name -> content of pictures of every kind and mode, for tests that mutate them."""
    image = smooth(size)
    rgba = image.copy()
    rgba.putalpha(image.getchannel(0))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "jpeg": encode(image, "JPEG", exif=exif),
        "jpeg progressive": encode(image, "JPEG", progressive=True),
        "jpeg gray": encode(image.convert("L"), "JPEG", icc_profile=gray_profile(1.0)),
        "jpeg cmyk": encode(image.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        "jpeg ycck": ycck(image),
        "jpeg arithmetic": ARITHMETIC,
        "jpeg arithmetic progressive": ARITHMETIC_PROGRESSIVE,
        "png": encode(image, icc_profile=rgb_profile(order="grb")),
        "png rgba": encode(rgba),
        "png gray 16": png(deep_gray(), colour=0, transparent=(0,)),
        "png palette": encode(rgba.quantize()),
        "png 1-bit": encode(image.convert("1")),
        "apng": frames("PNG"),
        "gif": frames("GIF"),
        "webp": encode(image, "WEBP", exif=exif),
        "webp lossless": encode(rgba, "WEBP", lossless=True),
        "webp animated": frames("WEBP"),
        "bmp": encode(image, "BMP"),
        "tiff": encode(image, "TIFF", exif=exif),
        "tiff lzw": encode(image, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encode(image, "TIFF", compression="jpeg"),
        "tiff cmyk": encode(image.convert("CMYK"), "TIFF"),
        "tiff 12": tiff(deep_gray(12), bits=12),
        "tiff pages": frames("TIFF"),
        "avif": encode(image, "AVIF", exif=exif),
        "jpeg 2000": encode(image, "JPEG2000"),
        "pgm 16": b"P5 24 20 65535\n" + deep_gray().astype(">u2").tobytes(),
        "ico": encode(image, "ICO", sizes=[(16, 16)]),
    }
    try:
        import pillow_heif
    except ImportError:
        return kinds
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90)
    return {**kinds, "heic": buffer.getvalue()}
