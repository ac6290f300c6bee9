"""Whether a difference is more than luck: exact paired tests, and many of them at once."""

import numpy as np
from numpy.typing import NDArray


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_], *, groups: NDArray[np.int64] | None = None) -> float:
    """Return the exact two-sided p of two heads that are right equally often, on the same pictures.

    Were they alike, each picture that only one of them has right would be the one's or the other's as a
    coin falls (McNemar 1947; exact as in Dietterich 1998). With groups, a coin is tossed per group:
    the sign of the group's difference is as likely to be the other one (Fisher's test of signs).
    Both are one test here, since a picture on its own is a group.

    Parameters
    ----------
    one, other : ndarrays of shape (n,), bool
        Whether each head is right.
    groups : ndarray of shape (n,), int64, optional
        Pictures that belong together.

    >>> right, wrong = np.ones(6, bool), np.zeros(6, bool)
    >>> round(mcnemar(right, wrong), 5)
    0.03125
    """
    differences = one.astype(np.int64) - other
    if groups is not None:
        _, position = np.unique(groups, return_inverse=True)
        differences = np.bincount(position, differences).round().astype(np.int64)
    return sign_flip(differences)


def sign_flip(differences: NDArray[np.int64]) -> float:
    """Return how often random signs give a sum as far from 0 as the observed one, exactly.

    Parameters
    ----------
    differences : ndarray of shape (g,), int64
    """
    from scipy.special import gammaln

    sizes, numbers = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    # The distribution of the sum of the sizes that keep a positive sign, one size after the other: sums of
    # positive terms only, so that a tiny probability is as exact as a great one.
    distribution = np.ones(1)
    for size, number in zip(sizes, numbers, strict=True):
        fall = np.arange(number + 1)
        chance = np.exp(gammaln(number + 1) - gammaln(fall + 1) - gammaln(number - fall + 1) - number * np.log(2))
        spaced = np.zeros(size * number + 1)
        spaced[::size] = chance
        distribution = np.convolve(distribution, spaced)
    total = len(distribution) - 1
    sums = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(distribution[sums >= abs(int(differences.sum()))].sum()))


def holm_multipliers(p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return by what Holm multiplies each p: how many of the family are at least as great; shape (k,), int64."""
    return np.asarray(len(p) - np.searchsorted(np.sort(p), p, side="left"), dtype=np.int64)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p of a family of comparisons, adjusted for their number (Holm 1979).

    Who claims a difference where it is below 0.05 is wrong, anywhere, in at most 5 % of families.
    Scandinavian Journal of Statistics 6.

    Parameters
    ----------
    p : ndarray of shape (k,), float64

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate((p * holm_multipliers(p))[order]), 1.0)
    return adjusted
