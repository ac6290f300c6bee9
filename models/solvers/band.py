"""A symmetric matrix reduced to a band, in which A + alpha I is solved at little cost for every alpha.

With orthogonal Q, Q'AQ = B has nothing further than `width` from its diagonal, and
    (A + alpha I)^-1 = Q (B + alpha I)^-1 Q'
so one reduction, of 4/3 d^3 operations, serves every alpha at d width^2 each (Golub and Van Loan
2013, Matrix Computations, section 4.3), where a factorisation of A + alpha I costs d^3 / 3. To go on
from the band to a tridiagonal matrix, or to eigenvalues, would win nothing: that is the dear part.

Reduction (Bischof, Lang and Sun 2000, ACM Transactions on Mathematical Software 26:581-601). Below
the band, the next `width` columns are P = (I - V T V') R (Householder vectors V, m x width, T by
Puglisi 1992, SIAM J. Sci. Stat. Comput. 13:723-726). With M the m x m matrix to the right of it,
    W = M V T,  W <- W - V T' V' W / 2,  M <- (I - V T V')' M (I - V T V') = M - V W' - W V'
The next V needs the next columns of M only. So they are brought up to date first, and then, piece
by piece of M's lower half, what is left of the last step is done and the next M V is begun: each
piece comes from memory once per step. All of it is products of matrices; LAPACK's tridiagonalisation
(sytrd) is half products with vectors, for which all of M comes from memory once a column.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .blas import add_product, reflect, solve_band

Doubles = NDArray[np.float64]

WIDTH = 48
"""A wide band has wide products; a narrow one is solved faster."""
PIECE = 128
"""Rows of a piece, so that one fits into a core's cache."""


@dataclass(frozen=True, slots=True)
class Band:
    """Q and B of a symmetric matrix A = Q B Q'."""

    diagonals: Doubles
    """The main diagonal of B and those below it, shape (width + 1, d); each begins on the left."""
    turns: list[tuple[int, Doubles, Doubles]]
    """Q is the product of I - V T V', each for the rows from a first one on: (first, V, T)."""

    def turn(self, columns: Doubles) -> Doubles:
        """Return Q' times columns (d, k)."""
        return _apply(self.turns, columns, transposed=True)

    def turn_back(self, columns: Doubles) -> Doubles:
        """Return Q times columns (d, k)."""
        return _apply(reversed(self.turns), columns, transposed=False)

    def solve(self, alpha: float, columns: Doubles) -> Doubles:
        """Return (B + alpha I)^-1 times columns (d, k); B + alpha I is positive definite."""
        raised = self.diagonals.copy(order="K")
        raised[0] += alpha
        try:
            return solve_band(raised, columns)
        except np.linalg.LinAlgError:
            message = f"the matrix plus {alpha} is not positive definite: take a stronger penalty"
            raise np.linalg.LinAlgError(message) from None


def reduce_to_band(square: Doubles, *, width: int = WIDTH, threads: int = 1) -> Band:
    """Return a symmetric matrix as a band.

    Parameters
    ----------
    square : ndarray of shape (d, d)
        Its lower half is read; all of it is overwritten.
    width : int
        How far the band reaches from the diagonal; with d - 1 there is nothing to reduce.
    threads : int
        How many share the work; a BLAS with threads of its own has them wait for each other.
    """
    d = len(square)
    width = max(1, min(width, d - 1))
    turns: list[tuple[int, Doubles, Doubles]] = []
    # The pieces on the diagonal are whole ones.
    for start in range(0, d, PIECE):
        piece = square[start : start + PIECE, start : start + PIECE]
        piece[:] = np.tril(piece) + np.tril(piece, -1).T
    # [V, W, V]: the first two are left, the last two right.
    last = np.zeros((d, 0))
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, d, width):
            # The columns from start to first; rows of the last step are those from start on.
            first, w = min(start + width, d), last.shape[1] // 3
            add_product(square[start:, start:first], last[:, : 2 * w], last[: first - start, w:].T, factor=-1)
            if first == d:
                break
            V, T, R = reflect(square[first:, start:first])
            square[first : first + len(R), start:first] = R
            last = last[first - start :]
            share = partial(_advance, square[first:, first:], first, last, V, threads=threads)
            W = reduce(np.add, pool.map(share, range(threads))) @ T
            W -= V @ (0.5 * (T.T @ (V.T @ W)))
            last = np.hstack([V, W, V])
            turns.append((first, V, T))
    diagonals = np.zeros((width + 1, d), order="F")
    for below in range(width + 1):
        diagonals[below, : d - below] = np.diagonal(square, -below)
    return Band(diagonals, turns)


def _advance(M: Doubles, first: int, last: Doubles, V: Doubles, thread: int, threads: int) -> Doubles:
    """Subtract what the last step left from the lower half of M, which begins at row `first`, and return M V.

    A thread does its share of both, on rows that no other one looks at.
    """
    product, w = np.zeros(V.shape), last.shape[1] // 3
    left, right = last[:, : 2 * w], last[:, w:]
    edges = [0, *range(PIECE - first % PIECE, len(M), PIECE), len(M)]
    for start, end in list(pairwise(edges))[thread::threads]:
        piece = M[start:end, :end]
        add_product(piece, left[start:end], right[:end].T, factor=-1)
        add_product(product[start:end], piece, V[:end])
        add_product(product[:start], piece[:, :start].T, V[start:end])
    return product


def _apply(turns: Iterable[tuple[int, Doubles, Doubles]], columns: Doubles, *, transposed: bool) -> Doubles:
    result = columns.copy()
    for first, V, T in turns:
        result[first:] -= V @ ((T.T if transposed else T) @ (V.T @ result[first:]))
    return result
