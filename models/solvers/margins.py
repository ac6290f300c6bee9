"""Losses of linear classifiers as functions of the margins, for many problems at once.

Margins m are the values of the linear functions: an array of shape (p, k, n) for p problems, k
functions each, on n rows. Weights w, (p, n), say how much each row counts. For each loss there is
an `expand`, its second-order expansion at m, and a `bend`, the product of its Hessian with a
change u of the margins.

Softmax, k classes, y the class of the row, P = exp(m) / sum exp(m):
    loss = w log(1 + q / P_y),  q = sum over the other classes of P  (1 - P_y without cancellation)
    gradient = w (P - e_y);  Hessian u = a (u - sum_j a_j u_j / w),  a = w P
Two sides, k = 1, sign s = -1 or 1, t = s m:
    logistic       loss = w log(1 + exp(-t));  gradient = -s w / (1 + exp(t));  a = w P (1 - P)
    squared hinge  loss = w max(0, 1 - t)^2;   gradient = -2 s w max(0, 1 - t); a = 2 w [t < 1]
    Hessian u = a u (for the hinge the generalised one: Keerthi and DeCoste 2005, JMLR 6:341-361)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Expansion:
    """A weighted loss of p problems around some margins, on a block of rows."""

    value: Doubles
    """Sum over the rows, shape (p,)."""
    slope: Floats
    """Derivative by the margins, shape (p, k, n)."""
    curvature: Floats
    """What `bend` takes, shape (p, k, n); never negative."""
    total: Doubles
    """Sum over the rows of the Hessian's diagonal, shape (p, k)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss; targets are codes (n,) intp for the softmax, else signs (p, n) or (1, n) float32."""

    expand: Callable[[Floats, Any, Floats], Expansion]
    """From margins (p, k, n), targets and weights (p, n)."""
    bend: Callable[[Floats, Floats, Floats], Floats]
    """From a change of the margins (p, k, n), curvature and inverse weights (p, n), which are 0 for 0."""
    kinked: bool = False
    """Whether the curvature of a row jumps between none and all."""


def expand_softmax(margins: Floats, codes: Integers, weights: Floats) -> Expansion:
    """Return the expansion of the multinomial log loss."""
    rows = np.arange(len(codes))
    top = margins.max(axis=1)
    shares = np.exp(margins - top[:, None])
    true = shares[:, codes, rows]
    shares[:, codes, rows] = 0
    others = shares.sum(axis=1)
    losses = _log_loss(margins[:, codes, rows], true, others, top)
    scale = weights / (others + true)
    slope = shares * scale[:, None]
    slope[:, codes, rows] = -others * scale
    curvature = slope.copy()
    curvature[:, codes, rows] = true * scale
    # a (1 - P) = |slope| (1 - P): for the true class, P (1 - P) is symmetric.
    total = curvature.sum(axis=2, dtype=np.float64) - _squares(curvature, weights)
    return Expansion(_total(losses, weights), slope, curvature, total)


def _log_loss(own: Floats, true: Floats, others: Floats, top: Floats) -> Floats:
    # Where the true class is so unlikely that its share underflows, log(sum) - m is exact enough.
    tiny = true < 1e-30
    losses = np.log1p(others / np.where(tiny, 1, true))
    return np.where(tiny, np.log(others + true) + top - own, losses) if tiny.any() else losses


def _squares(curvature: Floats, weights: Floats) -> Doubles:
    """Return the sums over the rows of a^2 / w, shape (p, k)."""
    squares = np.einsum("pkn,pkn->pk", curvature * invert(weights)[:, None], curvature)
    return np.asarray(squares, dtype=np.float64)


def bend_softmax(change: Floats, curvature: Floats, inverse: Floats) -> Floats:
    """Return the Hessian's product with a change of the margins."""
    bent = curvature * change
    mean = bent.sum(axis=1)
    mean *= inverse
    np.subtract(change, mean[:, None], out=bent)
    bent *= curvature
    return bent


def expand_logistic(margins: Floats, signs: Floats, weights: Floats) -> Expansion:
    """Return the expansion of the log loss of two classes."""
    t = margins[:, 0] * signs
    small = np.exp(-np.abs(t))
    losses = np.log1p(small)
    losses += np.maximum(-t, 0)
    share = weights / (1 + small)
    slope = -signs * share * np.where(t > 0, small, 1)
    curvature = share * small / (1 + small)
    return _two_sided(losses, slope, curvature, weights)


def expand_squared_hinge(margins: Floats, signs: Floats, weights: Floats) -> Expansion:
    """Return the expansion of the squared hinge."""
    lack = np.maximum(1 - margins[:, 0] * signs, 0)
    curvature = np.where(lack > 0, 2 * weights, np.float32(0))
    return _two_sided(lack * lack, -2 * weights * signs * lack, curvature, weights)


def _two_sided(losses: Floats, slope: Floats, curvature: Floats, weights: Floats) -> Expansion:
    total = curvature.sum(axis=1, dtype=np.float64)[:, None]
    return Expansion(_total(losses, weights), slope[:, None], curvature[:, None], total)


def bend_rows(change: Floats, curvature: Floats, _: Floats) -> Floats:
    """Return the Hessian's product with a change of the margins; the Hessian is diagonal."""
    return change * curvature


def _total(losses: Floats, weights: Floats) -> Doubles:
    return np.asarray(np.multiply(losses, weights).sum(axis=1, dtype=np.float64))


def invert(weights: Floats) -> Floats:
    """Return 1 / weights, and 0 where the weight is 0."""
    return np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)


SOFTMAX = Loss(expand_softmax, bend_softmax)
LOGISTIC = Loss(expand_logistic, bend_rows)
SQUARED_HINGE = Loss(expand_squared_hinge, bend_rows, kinked=True)
