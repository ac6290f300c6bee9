"""What a file tells without its pixels: size, width, height, kind, JPEG quality.

Only headers are read. A file that is gone, or whose bytes are no longer those of its key, tells
nothing about the picture that the store knows.
"""

import io
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image

from ...cache.index import FileIndex, Hashed, Stamp, hash_bytes, hash_file
from ...cache.part import Key
from ...cache.places import Place, place_within
from ...cache.table import Row
from .images import quiet_decoders
from .sources import read_file, read_head, reading_threads, recall_places

_ORIENTATION = 0x0112
# The luminance table of ITU-T T.81, annex K.1, which quality 50 of the IJG's library stands for.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file tells."""

    size: int
    """Bytes."""
    width: int
    """Pixels as stored, before the EXIF orientation."""
    height: int
    kind: str
    """As Pillow calls it: JPEG, PNG, ..."""
    quality: int | None
    """Of a JPEG, 1 to 100, estimated; None for other kinds."""
    on_its_side: bool = False
    """Whether the EXIF orientation swaps width and height."""

    @property
    def aspect(self) -> float:
        """Width by height."""
        return self.width / self.height


@dataclass(frozen=True, slots=True)
class FileState:
    """What is on disk of the files of a data set."""

    facts: Mapping[str, FileFacts]
    """By path; of files that are there, unchanged and have a header."""
    present: frozenset[str]
    """Paths of files that are there and unchanged."""
    changed: tuple[str, ...]
    """Paths of files with other bytes than the store knows."""
    gone: tuple[str, ...]
    """Paths of files that are not there, or cannot be read."""


def read_facts(root: Place, rows: Sequence[Row], index: FileIndex) -> FileState:
    """Return what the files of a data set tell now.

    A file that the index does not know unchanged is read whole once, to compare its bytes with its key.

    Raises
    ------
    Unreachable
        They lie elsewhere, where nothing can be reached.
    """
    places = [place_within(root, row.path) for row in rows]
    recalled = recall_places(index, places)
    with quiet_decoders():
        outcomes = Parallel(n_jobs=reading_threads(places), prefer="threads")(
            delayed(_examine)(place, row.key, recalled.files.get(place))
            if isinstance(place, Path)
            else delayed(_examine_elsewhere)(place, row.key, recalled.objects.get(place), recalled.stamps[place])
            for place, row in zip(places, rows, strict=True)
        )
    index.remember(read for _, _, read in outcomes if isinstance(read, Hashed))
    index.remember_objects(dict(read for _, _, read in outcomes if isinstance(read, tuple)))
    facts = {row.path: found for row, (_, found, _) in zip(rows, outcomes, strict=True) if found is not None}
    states = [(row.path, state) for row, (state, _, _) in zip(rows, outcomes, strict=True)]
    return FileState(
        facts=facts,
        present=frozenset(path for path, state in states if state == "present"),
        changed=tuple(path for path, state in states if state == "changed"),
        gone=tuple(path for path, state in states if state == "gone"),
    )


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int | None:
    """Return the quality, 1 to 100, whose luminance table has the nearest sum; None without a table.

    The scale is that of the Independent JPEG Group's library (jcparam.c); other encoders have tables of
    their own, for which this is the nearest equivalent.

    >>> jpeg_quality({0: [1] * 64}), jpeg_quality({})
    (100, None)
    """
    if not tables:
        return None
    sums = _sums_by_quality()
    return int(np.abs(sums - sum(tables[min(tables)])).argmin()) + 1


def _sums_by_quality() -> NDArray[np.int64]:
    """Return the sum of the luminance table for the qualities 1 to 100."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables = np.clip((_LUMINANCE * scale[:, None] + 50) // 100, 1, 255)
    return np.asarray(tables.sum(axis=1), dtype=np.int64)


_Outcome = tuple[str, FileFacts | None, Hashed | tuple[str, tuple[Stamp, Key]] | None]
"""The state of a file, what it tells, and what the index does not know of it yet."""
_GONE: _Outcome = "gone", None, None


def _examine(path: Path, expected: Key, known: Key | None) -> _Outcome:
    hashed = None
    try:
        status = path.stat()
        # A pipe in the place of the file would be waited for without end.
        if not stat.S_ISREG(status.st_mode):
            return _GONE
        if known is None:
            hashed = hash_file(path)
            known = hashed.key
    except (OSError, ValueError):
        return _GONE
    if known != expected:
        return "changed", None, hashed
    return "present", _read_header(path, status.st_size), hashed


def _examine_elsewhere(url: str, expected: Key, known: Key | None, stamp: Stamp | str) -> _Outcome:
    if isinstance(stamp, str):
        return _GONE
    try:
        head = read_file(url, size=stamp.size) if known is None else read_head(url)
        read = (url, (stamp, hash_bytes(head))) if known is None else None
        if (known or hash_bytes(head)) != expected:
            return "changed", None, read
        facts = _read_header(io.BytesIO(head), stamp.size or len(head))
        if facts is None and known is not None:
            # Some kinds have their header at the end.
            facts = _read_header(io.BytesIO(read_file(url)), stamp.size or len(head))
    except (OSError, ValueError):
        return _GONE
    return "present", facts, read


def _read_header(file: Path | io.BytesIO, size: int) -> FileFacts | None:
    try:
        with Image.open(file) as image:
            if not image.width or not image.height:
                return None
            quality = jpeg_quality(getattr(image, "quantization", None) or {})
            # Not image.getexif(): that of a PNG without the block decodes all pixels to look for it behind them.
            orientation = Image.Image.getexif(image).get(_ORIENTATION)
            # Of a TIFF, Pillow itself has swapped the sides already.
            on_its_side = orientation in (5, 6, 7, 8) and image.format != "TIFF"
            return FileFacts(size, image.width, image.height, str(image.format), quality, on_its_side)
    except Exception:  # noqa: BLE001 - parsers raise what they stumble over; such a file is among the skipped
        return None
