"""Calibration by one number: scores divided by a temperature become honest probabilities.

With scores z of a head, p = softmax(z / T), and T minimises the log loss on rows that the head was
not trained on (Guo et al. 2017, ICML, section 4.2). The prediction stays what it was.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

Doubles = NDArray[np.float64]
SURE = 1e-7
"""Probabilities below count as this, as in the log loss: what a softmax in float32 gives below is noise."""


def to_logits(scores: Doubles, *, are_probabilities: bool) -> Doubles:
    """Return what is divided by a temperature: decision values as they are, of probabilities the logarithm."""
    return np.log(np.clip(scores, SURE, None)) if are_probabilities else scores


def calibrate(scores: Doubles, temperature: float, *, are_probabilities: bool) -> Doubles:
    """Return probabilities (n, c) from scores (n, c)."""
    logits = to_logits(scores, are_probabilities=are_probabilities)
    return np.asarray(softmax(logits / temperature, axis=1), dtype=np.float64)


def fit_temperature(scores: Doubles, labels: NDArray[np.integer], *, are_probabilities: bool) -> float:
    """Return the temperature with the least log loss.

    Parameters
    ----------
    scores : ndarray of shape (n, c)
        Of rows that the head was not trained on, n at least 1.
    labels : ndarray of shape (n,)
        Position of the true class of each.
    are_probabilities : bool
        Whether the scores are probabilities, else decision values.
    """
    logits = to_logits(scores, are_probabilities=are_probabilities)
    rows = np.arange(len(labels))
    # A row right beyond doubt would pull T to 0 where all are right, so one of n is taken for wrong,
    # as likely in each class.
    smooth = 1 / (len(labels) + 1)

    def loss(logarithm: float) -> float:
        logs = log_softmax(logits / np.exp(logarithm), axis=1)
        return float(-((1 - smooth) * logs[rows, labels] + smooth * logs.mean(axis=1)).mean())

    # The scale of decision values is anybody's guess, so the search starts from theirs.
    scale = float(np.log(max(np.ptp(logits, axis=1).mean(), 1e-6)))
    found = minimize_scalar(loss, bounds=(scale - 7, scale + 10), method="bounded", options={"xatol": 1e-4})
    return float(f"{np.exp(found.x):.6g}")
