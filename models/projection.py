"""Features laid out on a plane, so that a person sees what lies beside what.

Rows are centred and brought to unit length first: two pictures are near where the angle between their
features is small, which is how these features are compared elsewhere, too.
"""

import numpy as np
from demijohn.models.threads import one_thread
from numpy.typing import NDArray
from sklearn.manifold import TSNE

PERPLEXITY = 30.0
FEWEST_NEIGHBOURS = 10
"""Fewer rows have no neighbourhoods to keep."""
_AXES = 50
"""Principal axes that the neighbours are looked for in (van der Maaten and Hinton 2008, section 4.2)."""


def project_linear(X: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return the first two principal components, shape (n, 2), and their share of the variance, 0..1.

    The sign of an axis is such that its longest point is on the positive side.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Features; n is at least 2.
    """
    points, share = _principal(_normalise(X), 2)
    longest = points[np.abs(points).argmax(axis=0), [0, 1]]
    return points * np.where(longest < 0, -1, 1), share


def project_neighbours(X: NDArray[np.float32], *, seed: int) -> NDArray[np.float64]:
    """Return a t-SNE layout, shape (n, 2): neighbours stay together, distances between clusters say little.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Features; n is at least `FEWEST_NEIGHBOURS`. A thousand rows take five seconds.
    seed : int
    """
    rows = _normalise(X)
    axes = _principal(rows, min(_AXES, *rows.shape))[0]
    # As scikit-learn begins, which would divide by the spread even where there is none.
    start = (1e-4 * axes[:, :2] / (axes[:, 0].std() or 1.0)).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init=start, learning_rate="auto", random_state=seed)
    # On one thread the sums are always of one order. Several gain little, and where other programs run as well they
    # wait for each other: six times as long on two busy cores.
    with one_thread():
        return np.asarray(layout.fit_transform(axes), dtype=np.float64)


def _principal(rows: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], float]:
    """Return the first principal components (n, count) and their share of the variance; the rows are some hundreds.

    From the n x n products of rows: where these are few, that is a small part of a singular value decomposition.
    """
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values = np.maximum(values[::-1], 0.0)
    # Equal rows have no variance that an axis could have a share of.
    share = float(values[:count].sum() / values.sum()) if values[0] > 1e-20 else 0.0
    return vectors[:, ::-1][:, :count] * np.sqrt(values[:count]), share


def _normalise(X: NDArray[np.float32]) -> NDArray[np.float64]:
    centred = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    if centred.shape[1] == 1:
        # A plane has two directions.
        centred = np.pad(centred, ((0, 0), (0, 1)))
    unit: NDArray[np.float64] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return unit
