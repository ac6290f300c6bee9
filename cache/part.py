"""One part: an immutable HDF5 file that holds some rows of a feature set.

    /features  (n, d) float32, chunked, Fletcher32 per chunk
    /keys      (n, 32) uint8, SHA-256 of the pictures' bytes, ascending, each once
    /supersedes (m,) fixed strings: names of the parts whose rows this one has taken over
    attributes: format, recipe (digest), rows, content (SHA-256 over keys and features)

Appending to an HDF5 file that is already named is what loses data in practice: without a flush
a kill leaves a file that cannot be opened. Here nothing is ever appended.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DamagedFile, NewerFormat
from .hdf5 import reading_hdf5, writing_hdf5

FORMAT = 1
SUFFIX = ".h5"
BLOCK_BYTES = 4 << 20
CHUNK_BYTES = 256 << 10
_MEND = "move it away and run extract-features again, which makes its rows anew"

KEY_DTYPE = np.dtype("S32")
Key = bytes
"""SHA-256 of a picture's bytes, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a part without reading its features."""

    path: Path
    keys: NDArray[np.bytes_]
    """(n,) S32, ascending. S32 pads with zero bytes, so it compares 32 bytes exactly."""
    width: int
    supersedes: frozenset[str]
    """File names of the parts that this one has taken over."""


def keys_to_array(keys: Sequence[Key]) -> NDArray[np.bytes_]:
    """Return keys as an array of shape (n,), S32."""
    return np.frombuffer(b"".join(keys), dtype=KEY_DTYPE)


def keys_from_array(keys: NDArray[np.bytes_]) -> list[Key]:
    """Return the keys of an S32 array; `tolist` would drop trailing zero bytes."""
    buffer = np.ascontiguousarray(keys).tobytes()
    return [buffer[start : start + 32] for start in range(0, len(buffer), 32)]


def write_part(
    folder: Path,
    keys: NDArray[np.bytes_],
    rows: NDArray[np.float32],
    *,
    recipe: str,
    supersedes: Iterable[str] = (),
) -> Path:
    """Write one part and return its path; it exists completely or not at all.

    Parameters
    ----------
    folder : Path
        The `parts` folder of the feature set.
    keys : ndarray of shape (n,), S32
        Ascending, each once; n is at least 1.
    rows : ndarray of shape (n, d), float32
        In the order of the keys.
    recipe : str
        Digest of the recipe.
    supersedes : iterable of str
        File names of parts all of whose rows are in this one or in parts written before it.

    Raises
    ------
    StoreNotWritable
        The disk is full or the folder may not be written.
    """
    path = folder / f"{uuid.uuid4().hex}{SUFFIX}"
    rows = np.ascontiguousarray(rows, dtype="<f4")
    chunk = min(len(rows), max(1, CHUNK_BYTES // rows[0].nbytes))
    content = hashlib.sha256(keys.tobytes())
    content.update(rows.data)
    with writing_hdf5(path) as file:
        file.create_dataset("features", data=rows, chunks=(chunk, rows.shape[1]), fletcher32=True)
        file.create_dataset("keys", data=keys.view(np.uint8).reshape(-1, 32), fletcher32=True)
        file.create_dataset("supersedes", data=np.array(sorted(supersedes), dtype="S36"))
        file.attrs["format"] = FORMAT
        file.attrs["recipe"] = recipe
        file.attrs["rows"] = len(keys)
        file.attrs["content"] = content.hexdigest()
    return path


def open_part(path: Path, recipe: str) -> Part:
    """Return what a part says of itself, checked, without reading its features.

    Raises
    ------
    FileNotFoundError
        The part is gone (it was superseded and pruned).
    DamagedFile
        It cannot be read, belongs to another recipe, or is no part at all.
    NewerFormat
        A later demijohn wrote it.
    """
    with reading_hdf5(path, _MEND) as file:
        found = int(file.attrs["format"])
        if found > FORMAT:
            raise NewerFormat(
                f"{path} has format {found}, this demijohn reads up to {FORMAT}: install a newer demijohn"
            )
        if file.attrs["recipe"] != recipe:
            raise DamagedFile(
                f"{path} belongs to another feature set: expected recipe {recipe[:12]}, "
                f"found {str(file.attrs['recipe'])[:12]}; move it out of this folder"
            )
        keys = file["keys"][:]
        rows, width = file["features"].shape
        if keys.shape != (rows, 32) or rows != file.attrs["rows"]:
            raise DamagedFile(f"{path} is damaged: {rows} rows of features, {len(keys)} keys; {_MEND}")
        supersedes = frozenset(name.decode() for name in file["supersedes"][:])
    return Part(path, np.ascontiguousarray(keys).view(KEY_DTYPE).reshape(-1), width, supersedes)


def read_rows(part: Part, rows: NDArray[np.intp]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield some rows of a part, reading the file from front to back, a block at a time.

    Parameters
    ----------
    part : Part
    rows : ndarray of shape (m,), intp
        Row numbers, ascending; a number may repeat.

    Yields
    ------
    slice, ndarray of shape (b, d), float32
        Which of `rows` these are, and their features.

    Raises
    ------
    DamagedFile
        A block's checksum does not fit; the message names the part.
    """
    step = max(1, BLOCK_BYTES // (4 * part.width))
    with reading_hdf5(part.path, _MEND) as file:
        features = file["features"]
        start = 0
        while start < len(rows):
            first = int(rows[start])
            stop = int(np.searchsorted(rows, first + step))
            last = int(rows[stop - 1])
            block = features[first : last + 1]
            yield slice(start, stop), block[rows[start:stop] - first]
            start = stop
