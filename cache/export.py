"""One file with features, keys, paths, labels and splits, for people who go on in their own tools.

A row per picture file of a data set that has features, in the order of the keys, so that parts are
read and the file is written from front to back, in bounded memory. HDF5 files have Fletcher32
checksums, since their readers do not know ours.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import MissingFeatures
from .features import FeatureSet
from .files import replacing
from .part import Part, keys_from_array, keys_to_array
from .table import Dataset, Row

SUFFIXES = (".h5", ".npz")
FORMAT = 1
_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export_cache` wrote."""

    path: Path
    rows: int
    width: int
    bytes: int


def export_features(features: FeatureSet, table: Dataset, path: Path) -> Exported:
    """Write `path`, an HDF5 or NumPy file by its suffix, and return what is in it.

    Both hold `features` (n, d) float32 and, of the same length, the strings `keys` (hexadecimal),
    `paths`, `labels`, `splits`, `groups`; empty where there is none. HDF5 keeps backbone, recipe
    and data set as attributes, NumPy as `about`, a JSON string.

    Raises
    ------
    MissingFeatures
        No picture of the data set has features.
    StoreNotWritable
        The file cannot be written; nothing is left of it.
    DamagedFile
        A part's checksum does not fit.
    """
    parts = features.parts()
    here = {key for part in parts for key in keys_from_array(part.keys)}
    rows = sorted((row for row in table.rows if row.key in here), key=lambda row: (row.key, row.path))
    if not rows:
        raise MissingFeatures(
            f"no picture of the data set {table.name} has features of {features.recipe.backbone}: "
            f"run {features.command()}"
        )
    width = parts[0].width
    about = {
        "format": FORMAT,
        "dataset": table.name,
        "backbone": features.recipe.backbone,
        "recipe": json.dumps(features.recipe.to_json()),
        "digest": features.digest,
    }
    with replacing(path) as temporary:
        blocks = _blocks(features, parts, rows)
        if path.suffix == ".npz":
            _write_npz(temporary, blocks, _columns(rows), (len(rows), width), about)
        else:
            _write_hdf5(temporary, blocks, _columns(rows), (len(rows), width), about)
    return Exported(path, len(rows), width, path.stat().st_size)


def _blocks(features: FeatureSet, parts: Sequence[Part], rows: Sequence[Row]) -> Iterator[NDArray[np.float32]]:
    keys = keys_to_array([row.key for row in rows])
    for start in range(0, len(keys), _ROWS):
        chosen = keys[start : start + _ROWS]
        near = [part for part in parts if part.keys[0] <= chosen[-1] and part.keys[-1] >= chosen[0]]
        try:
            block = features.gather(near, chosen)
        except FileNotFoundError:
            # A part was superseded and pruned meanwhile: its rows are in another one.
            block = features.read(keys_from_array(chosen))
        yield block


def _columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    columns = {
        "keys": [row.key.hex() for row in rows],
        "paths": [row.path for row in rows],
        "labels": [row.label for row in rows],
        "splits": [str(row.split) for row in rows],
        "groups": [row.group for row in rows],
    }
    # Names of files may hold bytes that are no text.
    return {name: [_text(value) for value in values] for name, values in columns.items()}


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _write_hdf5(
    path: Path,
    blocks: Iterator[NDArray[np.float32]],
    columns: dict[str, list[str]],
    shape: tuple[int, int],
    about: dict[str, Any],
) -> None:
    with path.open("w+b") as file, _Enduring(file) as enduring:
        with h5py.File(enduring, "w", libver="v110") as content:
            chunk = max(1, min(shape[0], (256 << 10) // (4 * shape[1])))
            data = content.create_dataset("features", shape, "<f4", chunks=(chunk, shape[1]), fletcher32=True)
            start = 0
            for block in blocks:
                data[start : start + len(block)] = block
                start += len(block)
                enduring.check()
            for name, values in columns.items():
                content.create_dataset(name, data=values, dtype=h5py.string_dtype())
            content.attrs.update(about)
        enduring.check()


def _write_npz(
    path: Path,
    blocks: Iterator[NDArray[np.float32]],
    columns: dict[str, list[str]],
    shape: tuple[int, int],
    about: dict[str, Any],
) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as entry:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(entry, header)
            for block in blocks:
                entry.write(np.ascontiguousarray(block).data)
        for name, values in {**columns, "about": [json.dumps(about)]}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                array = np.array(values[0] if name == "about" else values, dtype=np.str_)
                np.lib.format.write_array(entry, array, allow_pickle=False)


class _Enduring(io.RawIOBase):
    """A file that never tells HDF5 of an error: it would crash the process at exit; `check` tells."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first error that there was."""
        if self._error is not None:
            raise self._error

    def write(self, content: Any) -> int:
        return int(self._do(lambda: self._file.write(content), len(content)))

    def truncate(self, size: int | None = None) -> int:
        return int(self._do(lambda: self._file.truncate(size), size or 0))

    def flush(self) -> None:
        self._do(self._file.flush, None)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._do(lambda: self._file.seek(offset, whence), offset))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _do(self, action: Any, otherwise: Any) -> Any:
        if self._error is not None:
            return otherwise
        try:
            return action()
        except OSError as error:
            self._error = error
            return otherwise
