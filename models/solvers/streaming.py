"""Features on disk: a matrix of which a few rows are in memory at a time.

Rows lie in a temporary file that is mapped into memory. What is read of it comes piece by piece, and
the pages of a piece are given back after it, so what is resident stays bounded while the system keeps
as much of the file in its cache as it has room for; rows in the cache cost what rows in memory cost.
The file has no name: it is gone with the last one who uses it, whatever becomes of the process.

Where a solver goes through X by `pieces_of`, it is the same solver for an array and for a file.
"""

import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.intp]

PIECE = 16 * 2**20
"""Bytes that a thread has of the file at a time, at most."""
_PIECES = 64
"""So many of them, at least, are what all may take."""
_AROUND = 2**23
"""Bytes around one that is touched that Linux may map along with it."""
_POSITIONED = hasattr(os, "preadv")
"""Whether files are read and written at a position; where not, as on Windows, all goes through the map."""
_ZEROS = 2**24


class StreamedRows:
    """A matrix (n, d), float32, in a temporary file; index it with a slice or positions for some of its rows.

    Parameters
    ----------
    shape : (int, int)
        Rows and features.
    folder : path
        Where the file is; it has no name there.
    memory : int
        Bytes that training on it may take.

    Raises
    ------
    OSError
        The file cannot be made, or there is no room for it.
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, int], *, folder: Path, memory: int) -> None:
        size = max(4 * shape[0] * shape[1], 1)
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), size)
            self._map = mmap.mmap(file.fileno(), size)
            self._file = os.dup(file.fileno())
        weakref.finalize(self._map, os.close, self._file)
        self._cells: Floats = np.frombuffer(self._map, np.float32, shape[0] * shape[1]).reshape(shape)
        self._first = self._left = 0
        self.memory = memory

    def part(self, rows: slice, columns: slice = slice(None)) -> Self:
        """Return some contiguous rows, and features, of it: the same file, nothing is read."""
        start, stop, _ = rows.indices(len(self))
        other = object.__new__(type(self))
        other._map, other._file, other.memory = self._map, self._file, self.memory
        other._cells, other._first = self._cells[start:stop, columns], self._first + start
        other._left = self._left + 4 * columns.indices(self.shape[1])[0]
        return other

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return self._cells.shape[0], self._cells.shape[1]

    @property
    def size(self) -> int:
        """Rows times features."""
        return self._cells.size

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, rows: slice | Integers) -> Floats:
        """Return a copy of some rows, (m, d)."""
        if not _POSITIONED:
            return np.array(self._cells[rows])
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        some = np.empty((len(rows), self.shape[1]), np.float32)
        for where, place in self._stretches(rows):
            _move(os.preadv, self._file, some[where], place)
        return some

    def __setitem__(self, rows: slice | Integers, block: Floats) -> None:
        """Write some rows, (m, d)."""
        if not _POSITIONED:
            self._cells[rows] = block
            return
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        block = np.ascontiguousarray(block, np.float32)
        for where, place in self._stretches(rows):
            _move(os.pwritev, self._file, block[where], place)

    def pieces(self, rows: slice) -> Iterator[tuple[slice, Floats]]:
        """Yield rows that are read in place, and where they are among those asked for; each until the next."""
        start, stop, _ = rows.indices(len(self))
        count = self.rows_at_once
        for first in range(start, stop, count):
            here = slice(first, min(first + count, stop))
            yield slice(here.start - start, here.stop - start), self._cells[here]
            self._give_back(here)

    @property
    def rows_at_once(self) -> int:
        """How many rows a thread has in memory at a time."""
        return max(1, self._piece // (4 * max(self.shape[1], 1)))

    @property
    def _piece(self) -> int:
        return min(PIECE, self.memory // _PIECES)

    def is_finite(self) -> bool:
        """Return whether all of it is finite."""
        return all(np.isfinite(piece).all() for _, piece in self.pieces(slice(None)))

    def reach(self, other: "StreamedRows") -> "StreamedRows":
        """Return this part and the one that it continues in as one."""
        if other._map is not self._map or other._first != self._first + len(self):
            raise ValueError("two parts of a file that do not lie side by side cannot be one: give the rows in order")
        whole = self.part(slice(0, 0))
        base = np.frombuffer(self._map, np.float32).reshape(-1, self.shape[1])
        whole._cells = base[self._first : self._first + len(self) + len(other)]
        return whole

    def _stretches(self, rows: Integers) -> Iterator[tuple[slice, int]]:
        """Yield which of some rows lie one after the other in the file, and where, in bytes."""
        # What is touched in the map brings its surroundings along: rows that are copied go past it.
        row = self._cells.strides[0]
        first = self._first * row + self._left
        apart = np.diff(rows) != 1 if row == 4 * self.shape[1] else np.ones(max(len(rows) - 1, 0), dtype=bool)
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)] if len(rows) else []
        for start, stop in pairwise(edges):
            yield slice(start, stop), first + int(rows[start]) * row

    def _give_back(self, rows: slice) -> None:
        """Let the system take the pages of some rows, which it reads again when they are asked for."""
        start, stop, _ = rows.indices(len(self))
        if stop <= start or not hasattr(self._map, "madvise"):
            return
        row = self._cells.strides[0]
        # A touch brings along what is before it, which was given back already.
        begin = max((self._first + start) * row - _AROUND, 0) // mmap.PAGESIZE * mmap.PAGESIZE
        self._map.madvise(mmap.MADV_DONTNEED, begin, (self._first + stop) * row - begin)


Matrix = Floats | StreamedRows
"""Features (n, d), in memory or not."""


def cut(X: Matrix, rows: slice, columns: slice = slice(None)) -> Matrix:
    """Return contiguous rows, and features, of a matrix without a copy."""
    return X.part(rows, columns) if isinstance(X, StreamedRows) else X[rows, columns]


def join(first: Matrix, second: Matrix) -> Matrix:
    """Return the rows of two matrices as one; of a file, they must lie side by side."""
    if isinstance(first, StreamedRows) and isinstance(second, StreamedRows):
        return first.reach(second)
    return np.concatenate([first[:], second[:]])


def pieces_of(X: Matrix, rows: slice | Integers = slice(None)) -> Iterator[tuple[slice, Floats]]:
    """Yield some rows at a time, and where they are among those asked for: all at once of an array.

    Of a file, rows of a slice are read in place, and are gone when the next ones are asked for.
    """
    if not isinstance(X, StreamedRows):
        some = X[rows]
        yield slice(0, len(some)), some
    elif isinstance(rows, slice):
        yield from X.pieces(rows)
    else:
        for start in range(0, len(rows), X.rows_at_once):
            where = slice(start, min(start + X.rows_at_once, len(rows)))
            yield where, X[rows[where]]


def rows_at_once(X: Matrix) -> int:
    """Return how many rows are read at a time where some are copied, at least 1."""
    return X.rows_at_once if isinstance(X, StreamedRows) else max(1, PIECE // (4 * max(X.shape[1], 1)))


def _reserve(file: int, size: int) -> None:
    """Give a file its size, with room on the disk for it: a write into a map that finds none ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    for start in range(0, size, _ZEROS):
        os.write(file, bytes(min(_ZEROS, size - start)))


def _move(call: Callable[[int, list[memoryview], int], int], file: int, block: Floats, place: int) -> None:
    """Read or write a block at a place in a file; the system may do it in several goes."""
    rest = memoryview(block.data).cast("B")
    while len(rest):
        done = call(file, [rest], place)
        rest, place = rest[done:], place + done
