"""One part: an immutable HDF5 file that holds some rows of a feature set.

    /features   (n, d) float32, contiguous, so that it is read as fast as any file
    /keys       (n, 32) uint8, SHA-256 of the pictures' bytes, ascending, each once
    /checksums  (m, 16) uint8, XXH3-128 of each block of `block_rows` rows of features
    /supersedes (k, 36) uint8: names of the parts whose rows this one has taken over
    attributes: format, rows, block_rows, recipe (digest), content (SHA-256 over keys, checksums and supersedes)

Every row that is read is checked: `content` vouches for the checksums, and they for the blocks.
HDF5's own Fletcher32 took three quarters of the speed and accepted a block of zeros
(docs/decisions/0007). Appending to an HDF5 file that is already named is what loses data in
practice: without a flush a kill leaves a file that cannot be opened. Here nothing is ever appended.
"""

import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from .errors import DamagedFile, NewerFormat, OlderFormat
from .hdf5 import reading_hdf5, writing_hdf5
from .remedies import repair_hint

FORMAT = 2
"""See docs/format.md on when and how to raise it."""
SUFFIX = ".h5"
BLOCK_BYTES = 128 << 10
"""Rows are checked by blocks of this size: the price of reading a single row."""
READ_BYTES = 4 << 20
_NAME_BYTES = 36

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
    offset: int
    """Where the features begin in the file, bytes."""
    block_rows: int
    """Rows per checksum."""
    checksums: NDArray[np.uint8]
    """(m, 16) XXH3-128 of each block."""
    content: str
    """SHA-256 over keys, checksums and supersedes, which vouches for all of it."""


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
    block_rows = max(1, BLOCK_BYTES // (4 * rows.shape[1]))
    checksums = _checksums(rows, block_rows)
    key_bytes = np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 32)
    names = b"".join(name.encode().ljust(_NAME_BYTES) for name in sorted(supersedes))
    with writing_hdf5(path) as file:
        file["features"] = rows
        file["keys"] = key_bytes
        file["checksums"] = checksums
        file["supersedes"] = np.frombuffer(names, np.uint8).reshape(-1, _NAME_BYTES)
        file.attrs["format"] = FORMAT
        file.attrs["rows"] = len(keys)
        file.attrs["block_rows"] = block_rows
        # Of fixed length: HDF5 keeps other strings where no checksum guards them.
        file.attrs["recipe"] = np.bytes_(recipe)
        file.attrs["content"] = np.bytes_(_content(key_bytes, checksums, names))
    return path


def open_part(path: Path, recipe: str) -> Part:
    """Return what a part says of itself, checked, without reading its features.

    Raises
    ------
    FileNotFoundError
        The part is gone (it was superseded and pruned).
    DamagedFile
        It cannot be read, belongs to another recipe, or is no part at all.
    NewerFormat, OlderFormat
        A later or an earlier demijohn wrote it.
    """
    with reading_hdf5(path, _mend(path)) as file:
        _check_format(path, int(file.attrs["format"]))
        found = file.attrs["recipe"].decode()
        if found != recipe:
            raise DamagedFile(
                f"{path} belongs to another feature set: expected recipe {recipe[:12]}, "
                f"found {found[:12]}; move it out of this folder"
            )
        keys, checksums, names = file["keys"][:], file["checksums"][:], file["supersedes"][:].tobytes()
        features = file["features"]
        rows, width = features.shape
        block_rows, offset = int(file.attrs["block_rows"]), features.id.get_offset()
        blocks = -(-rows // block_rows)
        if keys.shape != (rows, 32) or checksums.shape != (blocks, 16) or rows != file.attrs["rows"]:
            raise DamagedFile(f"{path} is damaged: {rows} rows of features, {len(keys)} keys; {_mend(path)}")
        content = _content(keys, checksums, names)
        sound = content == file.attrs["content"].decode() and features.dtype == "<f4"
        if not sound or offset is None:
            raise DamagedFile(
                f"{path} is damaged: its keys or checksums are not those that were written; {_mend(path)}"
            )
    superseded = (names[start : start + _NAME_BYTES] for start in range(0, len(names), _NAME_BYTES))
    return Part(
        path=path,
        keys=np.ascontiguousarray(keys).view(KEY_DTYPE).reshape(-1),
        width=width,
        supersedes=frozenset(name.decode().rstrip() for name in superseded),
        offset=offset,
        block_rows=block_rows,
        checksums=checksums,
        content=content,
    )


def read_rows(part: Part, rows: NDArray[np.intp]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield some rows of a part, checked, reading the file from front to back, a few blocks at a time.

    Parameters
    ----------
    part : Part
    rows : ndarray of shape (m,), intp
        Row numbers, ascending; a number may repeat.

    Yields
    ------
    slice, ndarray of shape (b, d), float32
        Which of `rows` these are, and their features; valid until the next one.

    Raises
    ------
    FileNotFoundError
        The part is gone.
    DamagedFile
        A block's checksum does not fit; the message names the part.
    """
    block, row_bytes = part.block_rows, 4 * part.width
    step = block * max(1, READ_BYTES // (block * row_bytes))
    buffer = np.empty((step, part.width), dtype="<f4")
    with io.FileIO(part.path) as file:
        start = 0
        while start < len(rows):
            # Whole blocks: those of the first row wanted, up to the first block that is not wanted.
            first = int(rows[start]) // block * block
            stop = int(np.searchsorted(rows, first + step))
            blocks = rows[start:stop] // block
            gap = np.flatnonzero(np.diff(blocks) > 1)
            stop = start + int(gap[0]) + 1 if len(gap) else stop
            last = min(len(part.keys), (int(rows[stop - 1]) // block + 1) * block)
            found = buffer[: last - first]
            file.seek(part.offset + first * row_bytes)
            _fill(found, file, part.path)
            if _checksums(found, block).tobytes() != part.checksums[first // block : -(-last // block)].tobytes():
                raise DamagedFile(f"{part.path} is damaged: a checksum does not fit its rows; {_mend(part.path)}")
            yield slice(start, stop), found[as_slice(rows[start:stop] - first)]
            start = stop


def as_slice(numbers: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Return ascending numbers as a slice where they follow one another, which copies less and faster.

    >>> as_slice(np.array([3, 4, 5])), as_slice(np.array([3, 5]))
    (slice(3, 6, None), array([3, 5]))
    """
    first, last = int(numbers[0]), int(numbers[-1])
    consecutive = last - first == len(numbers) - 1 and bool((np.diff(numbers) == 1).all())
    return slice(first, last + 1) if consecutive else numbers


def _checksums(rows: NDArray[np.float32], block_rows: int) -> NDArray[np.uint8]:
    digests = [
        xxhash.xxh3_128_digest(rows[start : start + block_rows].data) for start in range(0, len(rows), block_rows)
    ]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def _content(keys: NDArray[np.uint8], checksums: NDArray[np.uint8], names: bytes) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(keys).data)
    digest.update(np.ascontiguousarray(checksums).data)
    digest.update(names)
    return digest.hexdigest()


def _check_format(path: Path, found: int) -> None:
    if found > FORMAT:
        raise NewerFormat(f"{path} has format {found}, this demijohn reads {FORMAT}: install a newer demijohn")
    if found < FORMAT:
        raise OlderFormat(f"{path} has format {found}, this demijohn reads {FORMAT}: {_mend(path)}")


def _mend(path: Path) -> str:
    return repair_hint(path.parent.parent)


def _fill(rows: NDArray[np.float32], file: io.FileIO, path: Path) -> None:
    """Fill an array from where a file stands."""
    view = rows.data.cast("B")
    while view:
        count = file.readinto(view)
        if not count:
            raise DamagedFile(f"{path} is damaged: it ends before its last row; {_mend(path)}")
        view = view[count:]
