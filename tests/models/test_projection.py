"""Layouts of features: what is alike lies together, and the same features lie the same way."""

import numpy as np
import pytest
from demijohn.models.projection import FEWEST_NEIGHBOURS, project_linear, project_neighbours
from numpy.typing import NDArray


def clusters(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return 60 rows around three directions, and which."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 20)
    return (5 * np.eye(3, 12)[labels] + random.normal(0, 0.4, (60, 12))).astype(np.float32), labels


def nearest_share(points: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return how many points have a neighbour of their own cluster nearest to them."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


def test_what_is_alike_lies_together() -> None:
    X, labels = clusters()
    points, share = project_linear(X)
    assert nearest_share(points, labels) > 0.95
    assert 0.5 < share <= 1
    assert nearest_share(project_neighbours(X, seed=0), labels) > 0.95


def test_length_and_sign_do_not_matter() -> None:
    X, _ = clusters()
    points, _ = project_linear(X)
    mean = X.mean(axis=0)
    longer, _ = project_linear((X - mean) * np.float32(3) + mean)
    np.testing.assert_allclose(longer, points, atol=1e-4)
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("count", [2, FEWEST_NEIGHBOURS])
def test_equal_rows_and_few_of_them_have_a_place(count: int, width: int) -> None:
    X = np.ones((count, width), dtype=np.float32)
    points, share = project_linear(X)
    assert np.isfinite(points).all()
    assert share == 0
    if count >= FEWEST_NEIGHBOURS:
        assert np.isfinite(project_neighbours(X, seed=0)).all()
