"""BLAS by address: what NumPy gives, on parts of matrices too, and side by side in threads."""

import threading
import time

import numpy as np
import pytest
from demijohn.models.solvers import blas
from numpy.typing import NDArray


def part(rows: int, columns: int, *, by_rows: bool, seed: int) -> NDArray[np.float64]:
    """Return a part of a larger matrix that lies by rows or by columns."""
    whole = np.random.default_rng(seed).standard_normal((rows + 5, columns + 3) if by_rows else (columns + 3, rows + 5))
    return (whole if by_rows else whole.T)[2 : 2 + rows, 1 : 1 + columns]


@pytest.mark.parametrize("into", [True, False])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize(("m", "k", "n"), [(7, 4, 5), (1, 3, 1), (3, 1, 2), (1, 1, 1), (4, 0, 3), (0, 2, 3)])
def test_a_product_is_added_in_its_place(into: bool, left: bool, right: bool, m: int, k: int, n: int) -> None:
    C = part(m, n, by_rows=into, seed=0)
    A, B = part(m, k, by_rows=left, seed=1), part(k, n, by_rows=right, seed=2)
    around = C.base.copy()
    expected = C - 2 * A @ B
    blas.add_product(C, A, B, factor=-2)
    np.testing.assert_allclose(C, expected, atol=1e-14)
    # What lies around the part is as it was.
    assert np.count_nonzero(C.base != around) <= C.size


@pytest.mark.parametrize("by_rows", [True, False])
def test_a_square_is_added_to_the_lower_half(by_rows: bool) -> None:
    C, X = part(6, 6, by_rows=True, seed=0), part(9, 6, by_rows=by_rows, seed=1)
    before = C.copy()
    blas.add_square(C, X, factor=-1)
    np.testing.assert_allclose(np.tril(C), np.tril(before - X.T @ X), atol=1e-14)
    np.testing.assert_array_equal(np.triu(C, 1), np.triu(before, 1))


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (3, 5), (1, 1)])
def test_columns_are_reflected(shape: tuple[int, int]) -> None:
    columns = part(*shape, by_rows=True, seed=0)
    V, T, R = blas.reflect(columns)
    Q = np.eye(len(V)) - V @ T @ V.T
    np.testing.assert_allclose(Q[:, : len(R)] @ R, columns, atol=1e-14)
    np.testing.assert_allclose(Q.T @ Q, np.eye(len(V)), atol=1e-14)
    np.testing.assert_array_equal(R, np.triu(R))


def test_a_band_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        blas.solve_band(np.asfortranarray([[1.0, -1.0, 1.0], [0.0, 0.0, 0.0]]), np.ones((3, 1)))


@pytest.mark.parametrize(
    "matrix",
    [np.ones((4, 4), dtype=np.float32), np.ones((8, 8))[::2, ::2], np.ones((4, 4))[::-1], np.broadcast_to(1.0, (4, 4))],
)
def test_what_blas_would_misread_is_refused(matrix: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="expected a matrix"):
        blas.add_product(np.zeros((4, 4)), np.zeros((4, 4)), matrix)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="no product"):
        blas.add_product(np.zeros((4, 4)), np.zeros((4, 3)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="no place"):
        blas.add_square(np.zeros((4, 4)), np.zeros((4, 3)))


def test_other_threads_go_on_meanwhile() -> None:
    # Long enough that a lock held throughout would show: the loop would not turn once.
    A, turns = np.ones((1500, 1500)), 0
    thread = threading.Thread(target=blas.add_product, args=(np.zeros_like(A), A, A))
    thread.start()
    while thread.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 3
