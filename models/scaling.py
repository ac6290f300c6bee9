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

FLOOR = 0.3
"""Least divisor, as a share of the median deviation of the features that vary."""


def fit_scaler(X: NDArray[np.float32]) -> Any:
    """Return a `StandardScaler` with mean and floored deviation of X, shape (n, d)."""
    scaler = StandardScaler().fit(X)
    deviation = np.sqrt(scaler.var_)
    varying = deviation[deviation > 0]
    if len(varying):
        scaler.scale_ = np.maximum(deviation, FLOOR * np.median(varying))
    return scaler
