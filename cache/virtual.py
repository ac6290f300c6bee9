"""`features.h5`: one file that shows the rows of all parts to any HDF5 reader.

Virtual data sets: nothing is copied. Rows are sorted by key and each key stands once. HDF5 reads
a part that has gone as the fill value, without an error, hence NaN; demijohn's own reader goes
to the parts and never through this file.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import DamagedFile
from .hdf5 import reading_hdf5, writing_hdf5
from .part import Part


def count_mappings(parts: Sequence[Part]) -> int:
    """Return how many runs of neighbouring rows the parts form in the order of the keys."""
    return len(_runs(parts)[0]) if parts else 0


def write_virtual(path: Path, parts: Sequence[Part]) -> None:
    """Write `features.h5` over some parts, at once; without parts it is not written."""
    if not parts:
        return
    part_of, source, target, length = _runs(parts)
    rows = int(target[-1] + length[-1])
    width = parts[0].width
    features = h5py.VirtualLayout(shape=(rows, width), dtype="<f4")
    keys = h5py.VirtualLayout(shape=(rows, 32), dtype=np.uint8)
    for index, start, at, count in zip(part_of, source, target, length, strict=True):
        # Relative names, so that a store can be moved.
        name, size = f"parts/{parts[index].path.name}", len(parts[index].keys)
        features[at : at + count] = h5py.VirtualSource(name, "features", (size, width))[start : start + count]
        keys[at : at + count] = h5py.VirtualSource(name, "keys", (size, 32))[start : start + count]
    with writing_hdf5(path) as file:
        file.attrs["parts"] = _digest(parts)
        file.create_virtual_dataset("features", features, fillvalue=np.nan)
        file.create_virtual_dataset("keys", keys, fillvalue=0)


def is_current(path: Path, parts: Sequence[Part]) -> bool:
    """Return whether `features.h5` is there and shows just these parts."""
    try:
        with reading_hdf5(path, "") as file:
            return bool(file.attrs["parts"] == _digest(parts))
    except (FileNotFoundError, DamagedFile):
        return False


def _digest(parts: Sequence[Part]) -> str:
    return hashlib.sha256(" ".join(sorted(part.path.name for part in parts)).encode()).hexdigest()


def _runs(parts: Sequence[Part]) -> tuple[NDArray[np.intp], ...]:
    """Return part, first row in it, first row in the whole, and length of each run of neighbouring rows."""
    keys = np.concatenate([part.keys for part in parts])
    part_of = np.concatenate([np.full(len(part.keys), index) for index, part in enumerate(parts)])
    row_of = np.concatenate([np.arange(len(part.keys)) for part in parts])
    _, first = np.unique(keys, return_index=True)
    part_of, row_of = part_of[first], row_of[first]
    breaks = (np.diff(part_of) != 0) | (np.diff(row_of) != 1)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    length = np.diff(np.concatenate([starts, [len(first)]]))
    return part_of[starts], row_of[starts], starts, length
