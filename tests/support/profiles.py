"""ICC profiles made by hand: of gray, RGB and CMYK pixels, as small as they may be."""

import struct
from itertools import product

import numpy as np

_D50 = (0.9642, 1.0, 0.8249)
_SRGB = {"r": (0.4360, 0.2225, 0.0139), "g": (0.3851, 0.7169, 0.0971), "b": (0.1431, 0.0606, 0.7139)}


def rgb_profile(*, order: str = "rgb", gamma: float = 2.2) -> bytes:
    """Return a profile with the primaries of sRGB, in another order if wanted: `grb` swaps red and green."""
    tags = {b"wtpt": _xyz(_D50)}
    for channel, primary in zip("rgb", order, strict=True):
        tags[f"{channel}XYZ".encode()] = _xyz(_SRGB[primary])
        tags[f"{channel}TRC".encode()] = _curve(gamma)
    return _profile(b"RGB ", b"XYZ ", tags)


def gray_profile(gamma: float) -> bytes:
    """Return a profile of gray pixels."""
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(_D50), b"kTRC": _curve(gamma)})


def cmyk_profile(*, order: str = "cmyk", grid: int = 2) -> bytes:
    """Return a profile of pure inks; an order `mcyk` swaps cyan and magenta.

    The more points the grid has along each ink, the closer it comes to what programs do without a profile.
    """
    points: list[int] = []
    for inks in product(np.linspace(0, 1, grid), repeat=4):
        ink = dict(zip(order, inks, strict=True))
        linear = np.array([((1 - ink[name]) * (1 - ink["k"])) ** 2.2 for name in "cmy"])
        points.extend(_lab(linear @ np.array([_SRGB[name] for name in "rgb"])))
    identity = bytes(range(256))
    matrix = b"".join(struct.pack(">i", 65536 * (n % 4 == 0)) for n in range(9))
    table = struct.pack(">4sIBBBx", b"mft1", 0, 4, 3, grid) + matrix + identity * 4 + bytes(points) + identity * 3
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(_D50), b"A2B0": table})


def _lab(xyz: np.ndarray) -> list[int]:
    """Return CIE L*a*b* in 8 bits, as ICC encodes it."""
    ratio = xyz / np.array(_D50)
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    lightness, a, b = 116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])
    return [int(np.clip(round(level), 0, 255)) for level in (lightness * 2.55, a + 128, b + 128)]


def _xyz(values: tuple[float, float, float]) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(value * 65536) for value in values))


def _curve(gamma: float) -> bytes:
    return struct.pack(">4sIIHxx", b"curv", 0, 1, round(gamma * 256))


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + b"\0" * (-len(content) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s12x4s", start + len(data), b"test", 0x02400000, kind, space, connection, b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">3i", *(round(value * 65536) for value in _D50))
    return head.ljust(128, b"\0") + table + data
