"""Do two pictures show the same? Their pixels, small and gray, as they are and mirrored.

Features find the pairs that are worth a look; they also find two pictures of one kind of flower.
The pixels tell those apart: a copy that was saved again, made smaller or mirrored still has the
same light and dark in the same places.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from ...cache.places import Place, place_within
from ..errors import UnreadableImage
from .images import decode_image, quiet_decoders
from .sources import read_file, reading_threads

SIDE = 32
"""Pixels of the small gray copy, whatever the aspect; a kilobyte per picture."""
SAME = 0.97
"""Correlation from which two pictures are the same."""
SIMILAR, ALIKE = 0.6, 0.9
"""Correlation that is enough where the cosine of the features is at least `ALIKE`: a narrow crop, for example."""
CERTAIN = 0.92
"""Cosine that is enough where there are no pixels to compare."""
_NOISE = 4.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike the pixels of two pictures are."""

    correlation: float
    """Of gray values, -1 to 1; the greater one of as it is and mirrored."""
    mirrored: bool
    """Whether the mirrored one fits better."""


def read_small(root: Place, paths: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
    """Return gray copies of shape (32, 32), uint8, of those pictures that can be read, by path."""
    wanted = sorted(set(paths))
    with quiet_decoders():
        places = [place_within(root, path) for path in wanted]
        found = Parallel(n_jobs=reading_threads(places), prefer="threads")(delayed(_small)(each) for each in places)
    return {path: small for path, small in zip(wanted, found, strict=True) if small is not None}


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Likeness:
    """Return how alike two gray copies are, as they are and with one of them mirrored.

    A variance of two gray levels squared is added on both sides, so that pictures without contrast are
    like each other and like nothing else.
    """
    one = first.astype(np.float64) - first.mean()
    other = second.astype(np.float64) - second.mean()
    scale = np.sqrt((np.mean(one**2) + _NOISE) * (np.mean(other**2) + _NOISE))
    straight = float((np.mean(one * other) + _NOISE) / scale)
    mirrored = float((np.mean(one * other[:, ::-1]) + _NOISE) / scale)
    return Likeness(max(straight, mirrored), mirrored > straight)


def is_near_duplicate(cosine: float, likeness: Likeness | None) -> bool:
    """Return whether features and pixels together say that two pictures are nearly the same.

    >>> is_near_duplicate(0.7, Likeness(0.99, False)), is_near_duplicate(0.95, Likeness(0.3, False))
    (True, False)
    """
    if likeness is None:
        return cosine >= CERTAIN
    return likeness.correlation >= SAME or (cosine >= ALIKE and likeness.correlation >= SIMILAR)


def _small(place: Place) -> NDArray[np.uint8] | None:
    rgb = _decode(place, (SIDE, SIDE))
    if rgb is None:
        return None
    # ITU-R BT.601, as everywhere that gray is made of RGB.
    gray: NDArray[np.float64] = rgb @ np.array([0.299, 0.587, 0.114])
    return gray.round().astype(np.uint8)


def _decode(place: Place, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    try:
        return decode_image(read_file(place), size, "squash-bilinear")
    except (OSError, UnreadableImage):
        return None
