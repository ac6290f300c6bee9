"""Standardisation of features, shared by all heads.

Bottleneck features are sparse: some are zero in almost every training picture. Divided by their
tiny deviation, one such feature is hundreds of deviations away wherever it does occur, and a
validation loss is nothing but that. So no feature is divided by less than a share of the median
deviation. Measurements: docs/decisions/0005-floored-standardisation.md, benchmarks/scaling.py.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from ..solvers.streaming import Matrix

Doubles = NDArray[np.float64]

FLOOR = 0.3
"""Least divisor, as a share of the median deviation of the features that vary."""
_ROWS = 1024
"""Rows that are in 64 bits at a time."""


def make_scaler(mean: Doubles, scale: Doubles) -> Any:
    """Return a `StandardScaler` that subtracts a mean (d,) and divides by a scale (d,)."""
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = mean, scale, scale**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(mean), 1
    return scaler


def measure_features(X: Matrix, weights: NDArray[np.floating[Any]]) -> tuple[Doubles, Doubles]:
    """Return mean and deviation of the features, each of shape (f, d), for f weightings in one pass.

    Parameters
    ----------
    X : ndarray or StreamedRows of shape (n, d), float32
        Features.
    weights : ndarray of shape (f, n)
        How often each row counts; each weighting counts some.
    """
    # Squares are taken around a row that counts, so that a constant feature has no deviation at all.
    first = int(np.flatnonzero(weights.any(axis=0))[0])
    centre = X[first : first + 1][0].astype(np.float64)
    total, squares = (np.zeros((len(weights), X.shape[1])) for _ in range(2))
    for start in range(0, len(X), _ROWS):
        rows = X[start : start + _ROWS].astype(np.float64)
        rows -= centre
        counts = weights[:, start : start + _ROWS].astype(np.float64)
        total += counts @ rows
        squares += counts @ np.square(rows, out=rows)
    size = weights.sum(axis=1, dtype=np.float64)[:, None]
    mean = total / size
    return mean + centre, np.sqrt(np.maximum(squares / size - mean**2, 0))


def floor_deviation(deviation: Doubles) -> Doubles:
    """Return what to divide features by, shape (f, d), from their deviations: never less than the floor, nor 0."""
    result = np.ones_like(deviation)
    for row, own in zip(result, deviation, strict=True):
        varying = own[own > 0]
        if len(varying):
            row[:] = np.maximum(own, FLOOR * np.median(varying))
    return result
