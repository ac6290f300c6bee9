"""Matrices as bands: what is solved in them is solved in the matrix."""

import numpy as np
import pytest
from demijohn.models.solvers.band import PIECE, reduce_to_band
from numpy.typing import NDArray

# Around the edges of bands and pieces.
sizes = pytest.mark.parametrize(
    ("d", "width"),
    [(1, 1), (1, 48), (2, 48), (7, 2), (49, 48), (50, 48), (97, 48), (PIECE, 16), (PIECE + 1, 16), (300, 40)],
)


def square_of(d: int) -> NDArray[np.float64]:
    """Return a symmetric matrix with no negative eigenvalue."""
    half = np.random.default_rng(0).standard_normal((d, d))
    return half @ half.T


@sizes
@pytest.mark.parametrize("threads", [1, 3])
def test_a_band_is_the_matrix_turned(d: int, width: int, threads: int) -> None:
    A = square_of(d)
    band = reduce_to_band(A.copy(), width=width, threads=threads)
    assert band.diagonals.shape == (min(width, max(d - 1, 1)) + 1, d)
    B = np.zeros((d, d))
    for below, diagonal in enumerate(band.diagonals[:d]):
        B += np.diag(diagonal[: d - below], -below) + (np.diag(diagonal[: d - below], below) if below else 0)
    Q = band.turn_back(np.eye(d))
    np.testing.assert_allclose(Q.T @ Q, np.eye(d), atol=1e-13)
    np.testing.assert_allclose(band.turn(np.eye(d)), Q.T, atol=1e-13)
    np.testing.assert_allclose(Q @ B @ Q.T, A, atol=1e-13 * np.trace(A))


@sizes
def test_it_is_solved_for_every_alpha(d: int, width: int) -> None:
    A, columns = square_of(d), np.random.default_rng(1).standard_normal((d, 3))
    band = reduce_to_band(A.copy(), width=width)
    for alpha in (0.1, 10.0, 1e5):
        solved = band.turn_back(band.solve(alpha, band.turn(columns)))
        np.testing.assert_allclose((A + alpha * np.eye(d)) @ solved, columns, atol=1e-10)


def test_only_the_lower_half_is_read() -> None:
    A = square_of(200)
    whole, lower = reduce_to_band(A.copy()), reduce_to_band(A + np.triu(np.full((200, 200), np.nan), 1))
    np.testing.assert_array_equal(whole.diagonals, lower.diagonals)


def test_a_matrix_that_is_not_positive_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        reduce_to_band(-square_of(60)).solve(1.0, np.ones((60, 1)))
