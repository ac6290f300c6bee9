"""How sure a number is: 95 % intervals in closed form, each chosen by simulation (docs/intervals.md).

Those of shares are score intervals: they hold what the data do not contradict. Drawing again (the
percentile bootstrap of Efron and Tibshirani 1993) covers too seldom where a head is nearly always
right, and says nothing where it always is; these do neither, need no seed, and cost nothing.

How many independent pictures stand behind a number is told by `Sampling`.
"""

import numpy as np
from numpy.typing import NDArray

from .evidence import CONFIDENCE, Sampling, normal_quantile, student_quantile

Interval = tuple[float, float]


def share(estimate: float, number: float, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of a share (Wilson 1927).

    Parameters
    ----------
    estimate : float
        0..1, such as an accuracy.
    number : float
        Of independent pictures that know as much as these; need not be whole.

    >>> [round(each, 3) for each in share(1.0, 10)]
    [0.722, 1.0]
    """
    square = normal_quantile(confidence) ** 2
    middle = (estimate + square / (2 * number)) / (1 + square / number)
    half = np.sqrt(square * (estimate * (1 - estimate) / number + square / (4 * number**2))) / (1 + square / number)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def mean_of_shares(
    hits: NDArray[np.float64],
    numbers: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the interval of a weighted mean of independent shares, such as the recalls of the classes.

    The score interval of Martin Andres, Alvarez Hernandez and Herranz Tejedor (2011, Statistical Methods
    in Medical Research 20): a mean is held where, with the likeliest shares that have it, the observed
    mean is no further away than z standard deviations. With one share it is Wilson's.

    Parameters
    ----------
    hits, numbers : ndarrays of shape (c,), float64
        How many were right, and of how many, at least 1; need not be whole.
    weights : ndarray of shape (c,), float64
        Positive; their sum is 1.
    """
    z = normal_quantile(confidence)
    low = _lower_mean(hits, numbers, weights, z)
    return low, 1 - _lower_mean(numbers - hits, numbers, weights, z)


def _lower_mean(
    hits: NDArray[np.float64], numbers: NDArray[np.float64], weights: NDArray[np.float64], z: float
) -> float:
    from scipy.optimize import brentq

    observed = float((weights * hits / numbers).sum())
    if observed <= 0:
        return 0.0

    # Lagrange: the likeliest shares p with a lower mean solve hits/p - (numbers - hits)/(1 - p) = pull * weights.
    def likeliest(pull: float) -> NDArray[np.float64]:
        b = numbers + pull * weights
        return np.asarray(2 * hits / (b + np.sqrt(np.maximum(b**2 - 4 * pull * weights * hits, 0))))

    def excess(pull: float) -> float:
        p = likeliest(pull)
        deviation = np.sqrt((weights**2 * np.maximum(p * (1 - p), 0) / numbers).sum())
        return float(observed - (weights * p).sum() - z * deviation)

    start = 0.0
    if excess(0.0) >= 0:
        # Every share is 0 or 1: none moves before the pull is this strong.
        start = float((numbers / weights)[hits > 0].min()) * (1 + 1e-9)
    stop = 2 * start + 1.0
    while excess(stop) < 0:
        stop *= 2
    return float((weights * likeliest(brentq(excess, start, stop, xtol=1e-9, rtol=1e-12))).sum())


def mean_of_values(
    values: NDArray[np.float64], sampling: Sampling, *, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return the interval of the mean of skewed values, such as losses.

    A few pictures have a great loss, so the plain interval is too low. Hall's transformation (1992,
    Journal of the Royal Statistical Society B 54) takes the skew off; with Student's quantile.

    Parameters
    ----------
    values : ndarray of shape (n,), float64

    Returns
    -------
    (float, float) or None
        None where nothing varies, or less than two pictures or groups are independent.
    """
    units = sampling.units
    if units < 2:
        return None
    mean = float(values.mean())
    parts = sampling.gather(sampling.residuals(values)) * units / sampling.count
    deviation = float(np.sqrt((parts**2).mean()))
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        return None
    skew = float((parts**3).mean()) / deviation**3
    reach = student_quantile(units - 1, confidence) / np.sqrt(units)

    def undo(y: float) -> float:
        if abs(skew) < 1e-6:
            return y
        return 3 / skew * float(np.cbrt(1 + skew * (y - skew / (6 * units))) - 1)

    return mean - deviation * undo(reach), mean - deviation * undo(-reach)


def paired_difference(gained: float, lost: float, number: float, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of the difference of two accuracies on the same pictures (Tango 1998).

    It holds each difference that McNemar's score test does not contradict (Statistics in Medicine 17).

    Parameters
    ----------
    gained, lost : float
        Pictures that only the one, and only the other, has right.
    number : float
        Of pictures. All three divided by a design effect where pictures belong together.

    >>> [round(each, 4) for each in paired_difference(10, 10, 200)]
    [-0.0469, 0.0469]
    """
    low = _lower_difference(gained, lost, number, confidence)
    high = 0.0 - _lower_difference(lost, gained, number, confidence)
    return low, high


def _lower_difference(gained: float, lost: float, number: float, confidence: float) -> float:
    from scipy.optimize import brentq

    z = normal_quantile(confidence)
    observed = (gained - lost) / number

    def excess(difference: float) -> float:
        # The likeliest share of lost pictures under this difference solves a quadratic equation.
        b = (2 * number - gained + lost) * difference - gained - lost
        c = -lost * difference * (1 - difference)
        share_lost = (np.sqrt(max(b * b - 8 * number * c, 0.0)) - b) / (4 * number)
        variance = max(2 * share_lost + difference * (1 - difference), 0.0)
        return float(gained - lost - number * difference - z * np.sqrt(number * variance))

    # At the observed difference itself there may be no variance at all; a hair below there is.
    start, stop = -1.0, max(observed - 1e-12, -1.0)
    if excess(start) <= 0 or excess(stop) >= 0:
        return stop if excess(start) > 0 else start
    return float(brentq(excess, start, stop, xtol=1e-13))


def independent_difference(
    one: float, number_one: float, other: float, number_other: float, *, confidence: float = CONFIDENCE
) -> Interval:
    """Return the interval of the difference of two shares of different pictures (Newcombe 1998, method 10).

    Parameters
    ----------
    one, other : float
        Shares, 0..1; the difference is one minus other.
    number_one, number_other : float
        Of independent pictures behind each.
    """
    low_one, high_one = share(one, number_one, confidence=confidence)
    low_other, high_other = share(other, number_other, confidence=confidence)
    difference = one - other
    return (
        difference - float(np.hypot(one - low_one, high_other - other)),
        difference + float(np.hypot(high_one - one, other - low_other)),
    )
