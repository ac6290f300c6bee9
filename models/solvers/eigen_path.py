"""What one eigendecomposition gives for every strength: discriminants, and leave-one-out errors of ridge.

Let A be the n rows, standardised, centred by their weighted mean and times sqrt(w). With
A'A = V diag(l) V' (d x d), or A A' = U diag(l) U' (n x n) where there are fewer rows than features,
A = B V' with B = A V = U diag(sqrt(l)).

Ridge, targets T of -1 and 1, R = sqrt(w) (T - mean), penalty alpha:
    fitted sqrt(w)-residuals     R - B (B'R / (l + alpha))
    leverage of row i            h_i = sum_j B_ij^2 / (l_j + alpha) + w_i / sum w
    leave-one-out residual       r_i / (1 - h_i), exact (Allen 1974, Technometrics 16:125-127; with the
                                 intercept's share of the leverage, since it is fitted too)
Discriminant, covariance S within the classes, C_s = (1 - s) S + s tr(S) / d I (Friedman 1989, JASA
84:165-175): the eigenbasis of S serves every s; on what n < d rows do not span, S is 0:
    C_s^-1 M = M / (s t) + V diag(1 / ((1 - s) l + s t) - 1 / (s t)) V'M,  t = tr(S) / d

Squares lose half of the digits, so products and decompositions are in 64 bits, a few rows at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from demijohn.models.threads import one_thread
from numpy.typing import ArrayLike, NDArray

from .streaming import Matrix
from .weighting import Weighting

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.intp]

ROWS = 2048
"""Rows that are in 64 bits at a time."""


@dataclass(frozen=True, slots=True)
class EigenPath:
    """Discriminants of s strengths, k functions each, on d standardised features."""

    strengths: Doubles
    """Shrinkage, shape (s,)."""
    coefficients: Floats
    """For standardised features, shape (s, k, d)."""
    intercepts: Doubles
    """Shape (s, k)."""
    held_out_loss: Doubles
    """Mean log loss on the rows held out, shape (s,)."""
    held_out_accuracy: Doubles
    """Share of the rows held out that are right, shape (s,); nan where none are."""


def leave_one_out(
    X: Matrix, codes: Integers, *, strengths: ArrayLike, weighting: Weighting, classes: int | None = None
) -> tuple[Doubles, Doubles]:
    """Return how ridge classifiers of every penalty do on each row if all others are trained on.

    Parameters
    ----------
    X : ndarray or StreamedRows of shape (n, d), float32
        Features in rows, not standardised.
    codes : ndarray of shape (n,), intp
        Classes, 0 to classes - 1.
    strengths : array-like of shape (s,)
        alpha, positive: sum_i w_i (t_i - W z_i - b)^2 + alpha |W|^2 is least.
    weighting : Weighting
        Rows to train on, and the standardisation, which is that of all rows.
    classes : int, optional
        How many there are; by default one more than the largest code.

    Returns
    -------
    loss, accuracy : ndarray of shape (s,)
        Mean squared error, and the share of the rows that are right.
    """
    alphas = np.asarray(strengths, dtype=np.float64)
    count = int(codes.max()) + 1 if classes is None else classes
    rows, weights = _training(weighting)
    targets = np.where(codes[rows, None] == (np.arange(count) if count > 2 else 1), 1.0, -1.0)
    centre, level = _average(X, rows, weights, weighting), weights @ targets / weights.sum()
    root = np.sqrt(weights)
    values, _, turned = _decompose(X, rows, root, centre[None], np.zeros(len(rows), np.intp), weighting)
    aimed = root[:, None] * (targets - level)
    along = turned.T @ aimed  # B'R, (r, k)
    leverage = np.square(turned) @ (1 / (values[:, None] + alphas)) + (weights / weights.sum())[:, None]
    found = np.empty((2, len(alphas)))
    for number, alpha in enumerate(alphas):
        residual = aimed - turned @ (along / (values + alpha)[:, None])
        residual /= (root * np.maximum(1 - leverage[:, number], 1e-12))[:, None]
        right = _right(targets - residual, codes[rows])
        found[:, number] = weights @ np.square(residual).mean(axis=1), weights @ right
    loss, accuracy = found / weights.sum()
    return loss, accuracy


def fit_discriminant_path(
    X: Matrix, codes: Integers, *, strengths: ArrayLike, weighting: Weighting, classes: int | None = None
) -> EigenPath:
    """Return linear discriminants, as scikit-learn's with solver="lsqr", for every shrinkage.

    Parameters
    ----------
    X, codes, weighting, classes
        As for `leave_one_out`, and rows held out; two classes have two functions, and only their difference counts.
    strengths : array-like of shape (s,)
        Shrinkage of the covariance within the classes, 0 to 1. At 0 it may have no inverse: where it
        has none, features do not tell the classes apart.
    """
    shrinkages = np.asarray(strengths, dtype=np.float64)
    count = int(codes.max()) + 1 if classes is None else classes
    rows, weights = _training(weighting)
    labels, d = codes[rows], X.shape[1]
    shares = np.bincount(labels, weights=weights, minlength=count)
    means = np.zeros((count, d))
    for part, z in _standardised(X, rows, weighting):
        np.add.at(means, labels[part], weights[part, None] * z)
    means /= np.maximum(shares, np.finfo(float).tiny)[:, None]
    priors = shares / weights.sum()
    root = np.sqrt(weights / weights.sum())
    values, axes, _ = _decompose(X, rows, root, means, labels, weighting, turn=False)
    # The trace over all d features, a class's part of it as large as its prior.
    level = values.sum() / d
    along = means @ axes.T  # (k, r)
    coefficients = np.empty((len(shrinkages), count, d))
    for number, shrinkage in enumerate(shrinkages):
        inner = (1 - shrinkage) * values + shrinkage * level
        outer = 1 / (shrinkage * level) if shrinkage * level > 0 else 0.0
        coefficients[number] = (along * (1 / inner - outer)) @ axes + outer * means
    with np.errstate(divide="ignore"):
        # A class without rows is never chosen.
        intercepts = np.log(priors) - 0.5 * np.einsum("skd,kd->sk", coefficients, means)
    held = _judge(X, codes, coefficients, intercepts, weighting)
    return EigenPath(shrinkages, coefficients.astype(np.float32), intercepts, held[0], held[1])


def _training(weighting: Weighting) -> tuple[Integers, Doubles]:
    weights = np.asarray(weighting.weights, dtype=np.float64)
    rows = np.flatnonzero(weights)
    if not len(rows):
        raise ValueError("no row has a weight above 0: there is nothing to train on; give some rows a weight")
    return rows, weights[rows]


def _standardised(X: Matrix, rows: Integers, weighting: Weighting) -> Iterator[tuple[slice, Doubles]]:
    """Yield some rows at a time in 64 bits; a feature whose scale is 0 is 0."""
    inverse, mean = weighting.inverse, np.asarray(weighting.mean, dtype=np.float64)
    for start in range(0, len(rows), ROWS):
        part = slice(start, min(start + ROWS, len(rows)))
        z = X[rows[part]].astype(np.float64)
        z -= mean
        z *= inverse
        yield part, z


def _average(X: Matrix, rows: Integers, weights: Doubles, weighting: Weighting) -> Doubles:
    total = sum(weights[part] @ z for part, z in _standardised(X, rows, weighting))
    return np.asarray(total / weights.sum())


def _decompose(
    X: Matrix,
    rows: Integers,
    root: Doubles,
    centres: Doubles,
    labels: Integers,
    weighting: Weighting,
    *,
    turn: bool = True,
) -> tuple[Doubles, Doubles, Doubles]:
    """Return eigenvalues l (r,), axes V' (r, d) and, if asked, B (n, r) of rows centred by their class."""
    n, d = len(rows), X.shape[1]

    def pieces() -> Iterator[tuple[slice, Doubles]]:
        for part, z in _standardised(X, rows, weighting):
            yield part, (z - centres[labels[part]]) * root[part, None]

    if n < d:
        whole = np.concatenate([piece for _, piece in pieces()])
        values, vectors = _eigh(whole @ whole.T)
        kept = _above_rounding(values, max(n, d))
        values, vectors = values[kept], vectors[:, kept]
        reach = np.sqrt(values)
        return values, (vectors / reach).T @ whole, vectors * reach
    square = np.zeros((d, d))
    for _, piece in pieces():
        square += piece.T @ piece
    values, vectors = _eigh(square)
    kept = _above_rounding(values, max(n, d))
    values, vectors = values[kept], vectors[:, kept]
    turned = np.empty((n if turn else 0, len(values)))
    if turn:
        for part, piece in pieces():
            np.matmul(piece, vectors, out=turned[part])
    return values, np.ascontiguousarray(vectors.T), turned


def _eigh(square: Doubles) -> tuple[Doubles, Doubles]:
    # Half of it is products with vectors, at which threads wait for each other; where another process
    # has the second core, ten times as long as one thread takes alone.
    with one_thread(blas_alone=True):
        values, vectors = np.linalg.eigh(square)
    return values, vectors


def _above_rounding(values: Doubles, size: int) -> NDArray[np.bool_]:
    return np.asarray(values > size * np.finfo(np.float64).eps * max(values.max(initial=0), 0))


def _right(scores: Doubles, codes: Integers) -> NDArray[np.bool_]:
    """Return which rows of scores (n, k) are right."""
    guess = scores[:, 0] > 0 if scores.shape[1] == 1 else scores.argmax(axis=1)
    return np.asarray(guess == codes)


def _judge(X: Matrix, codes: Integers, coefficients: Doubles, intercepts: Doubles, weighting: Weighting) -> Doubles:
    """Return loss and accuracy on the rows held out, shape (2, s)."""
    s, k, d = coefficients.shape
    if weighting.held_out is None or not np.any(weighting.held_out):
        return np.full((2, s), np.nan)
    rows = np.flatnonzero(weighting.held_out)
    weights = np.asarray(weighting.held_out, dtype=np.float64)[rows]
    total = np.zeros((2, s))
    for part, z in _standardised(X, rows, weighting):
        labels = codes[rows[part]]
        scores = (z @ coefficients.reshape(s * k, d).T).reshape(-1, s, k) + intercepts
        for number in range(s):
            own = scores[:, number]
            losses = np.logaddexp.reduce(own, axis=1) - own[np.arange(len(labels)), labels]
            total[:, number] += weights[part] @ losses, weights[part] @ _right(own, labels)
    return np.asarray(total / weights.sum())
