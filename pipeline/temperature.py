"""Calibrated probabilities: a head's scores divided by one number, its temperature, before the softmax.

The temperature is fitted on pictures that the head was not trained on. It makes a head that claims too much,
or too little, right as often as it claims, and changes no predicted class (Guo et al. 2017,
https://arxiv.org/abs/1706.04599).
"""

import math

import numpy as np
from numpy.typing import NDArray

from .evaluation import SURE

_COLDEST, _HOTTEST = 1e-4, 1e4


def as_logits(scores: NDArray[np.floating], *, are_probabilities: bool) -> NDArray[np.float64]:
    """Return scores whose softmax at temperature 1 is a head's own probability, shape (n, c).

    Parameters
    ----------
    scores : ndarray of shape (n, c)
        Probabilities, of which the logarithm is taken, or decision values, which stay as they are.
    are_probabilities : bool
    """
    values = scores.astype(np.float64)
    return np.log(np.clip(values, SURE, None)) if are_probabilities else values


def calibrate(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities of shape (n, c): softmax(logits / temperature)."""
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature at which some scores fit their labels best, by cross-entropy.

    Where every picture is right, the likelihood wants certainty. After n of n right, the chance that the next
    one is right is (n + 1) / (n + 2) (Laplace's rule of succession), so the target of a picture is that much
    on its class, and the rest on the others, as Platt (1999) does for two classes. The cross-entropy is convex in
    1 / temperature, so there is one minimum.

    Parameters
    ----------
    scores : ndarray of shape (n, c)
        Log-probabilities or decision values of pictures that the head was not trained on; n is at least 1.
    labels : ndarray of shape (n,)
        True class of each, 0..c-1.

    Returns
    -------
    float
        Above 1 for a head that claims too much; 1e4 where the scores say nothing of the classes, or the contrary.

    >>> scores = np.log([[0.99, 0.01]] * 4)
    >>> fit_temperature(scores, np.array([0, 0, 0, 1])) > 1
    True
    """
    logits = np.asarray(scores, dtype=np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    count, classes = logits.shape
    if classes < 2:
        return 1.0
    rest = 1 / (count + 2)
    own = logits[np.arange(count), labels]
    others = (logits.sum(axis=1) - own) / (classes - 1)
    target = float(((1 - rest) * own + rest * others).mean())

    def slope(sharpness: float) -> float:
        """Return the derivative of the cross-entropy by the logarithm of 1 / temperature, but for a factor above 0."""
        return float((calibrate(logits, math.exp(-sharpness)) * logits).sum(axis=1).mean()) - target

    low, high = -math.log(_HOTTEST), -math.log(_COLDEST)
    if slope(low) >= 0:
        return _HOTTEST
    if slope(high) <= 0:
        return _COLDEST
    # Here, since a head that has its temperature needs no search.
    from scipy.optimize import brentq

    return math.exp(-float(brentq(slope, low, high, xtol=1e-6)))
