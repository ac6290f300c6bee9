"""The few functions of BLAS and LAPACK that NumPy lacks, such that threads compute them side by side.

SciPy's own wrappers hold the interpreter's lock while they compute, so that threads wait for each other,
and copy a matrix that is part of a larger one. The same functions lie in `scipy.linalg.cython_blas` and
`cython_lapack` as pointers for Cython; called through ctypes, as Numba calls them too, they do neither.

Arrays are of 64 bits, and lie by rows or by columns: a part of a larger matrix will do.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_blas, cython_lapack

Doubles = NDArray[np.float64]


def add_product(into: Doubles, left: Doubles, right: Doubles, *, factor: float = 1) -> None:
    """Add factor times left (m, k) @ right (k, n) to `into` (m, n)."""
    (m, k), n = left.shape, right.shape[1]
    if right.shape[0] != k or into.shape != (m, n):
        raise ValueError(f"shapes {left.shape} and {right.shape} have no product of shape {into.shape}")
    by_rows, lead = _lie(into)
    if by_rows:
        # BLAS knows columns only, and for it these rows are the columns of the transpose.
        left, right, m, n = right.T, left.T, n, m
    (left_by_rows, left_lead), (right_by_rows, right_lead) = _lie(left), _lie(right)
    ways = ("T" if left_by_rows else "N", "T" if right_by_rows else "N")
    _dgemm(*ways, m, n, k, float(factor), left, left_lead, right, right_lead, 1.0, into, lead)


def add_square(into: Doubles, rows: Doubles, *, factor: float = 1) -> None:
    """Add factor times rows' (d, m) @ rows (m, d) to the lower half of `into` (d, d), which lies by rows."""
    (by_rows, lead), (rows_by_rows, rows_lead) = _lie(into), _lie(rows)
    m, d = rows.shape
    if into.shape != (d, d) or not by_rows:
        raise ValueError(f"shape {into.shape} has no place by rows for a square of shape {(d, d)}")
    _dsyrk("U", "N" if rows_by_rows else "T", d, m, float(factor), rows, rows_lead, 1.0, into, lead)


def reflect(columns: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return V (m, r), T (r, r) and R (r, b) with columns (m, b) = (I - V T V') [R; 0], r the lesser of m and b."""
    m, b = columns.shape
    r = min(m, b)
    packed, T, work = np.array(columns, order="F"), np.zeros((r, r), order="F"), np.empty(r * b)
    _dgeqrt(m, b, r, packed, m, T, r, work, ctypes.c_int64())
    V, R = packed[:, :r], np.triu(packed[:r])
    V[:r] = np.tril(V[:r], -1) + np.eye(r)
    return V, T, R


def solve_band(diagonals: Doubles, columns: Doubles) -> Doubles:
    """Return the inverse of a positive definite band (w + 1, d) times columns (d, k); the band is overwritten.

    Raises
    ------
    LinAlgError
        It is not positive definite.
    """
    (height, d), k = diagonals.shape, columns.shape[1]
    if not diagonals.flags.f_contiguous:
        raise ValueError("the diagonals do not lie by columns, each beside the next")
    solution, found = np.array(columns, order="F"), ctypes.c_int64()
    _dpbsv("L", d, height - 1, k, diagonals, height, solution, d, found)
    if found.value:
        raise np.linalg.LinAlgError("the band is not positive definite")
    return solution


def _lie(matrix: Doubles) -> tuple[bool, int]:
    """Return whether a matrix lies by rows, and how far apart the rows, or columns, are."""
    if matrix.dtype != np.float64 or matrix.ndim != 2:
        raise ValueError(f"expected a matrix of float64, received {matrix.ndim} dimensions of {matrix.dtype}")
    (m, n), (down, right) = matrix.shape, (stride // 8 for stride in matrix.strides)
    if (right == 1 or n <= 1) and (down >= n or m <= 1):
        return True, max(down if m > 1 else n, 1)
    if (down == 1 or m <= 1) and (right >= m or n <= 1):
        return False, max(right if n > 1 else m, 1)
    raise ValueError(f"expected a matrix that lies by rows or by columns, received strides of {matrix.strides} bytes")


def _take(module: Any, name: str) -> Callable[..., None]:
    """Return a function of a module for Cython that is called with values, and hands over where they lie."""
    capsule, api = module.__pyx_capi__[name], ctypes.pythonapi
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    signature = name_of(capsule)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (signature.count(b",") + 1))(pointer_of(capsule, signature))

    def call(*values: Any) -> None:
        boxes = [_BOXES[type(value)](value) if type(value) in _BOXES else value for value in values]
        function(*(box.ctypes.data if isinstance(box, np.ndarray) else ctypes.addressof(box) for box in boxes))

    return call


# An integer of 64 bits serves where one of 32 is read: the low half comes first.
_BOXES: dict[type, Callable[..., Any]] = {
    int: ctypes.c_int64,
    float: ctypes.c_double,
    str: lambda letter: ctypes.c_char(letter.encode()),
}
_dgemm, _dsyrk = _take(cython_blas, "dgemm"), _take(cython_blas, "dsyrk")
_dgeqrt, _dpbsv = _take(cython_lapack, "dgeqrt"), _take(cython_lapack, "dpbsv")
