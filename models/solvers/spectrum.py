"""The leading principal axes of standardised rows, and the preconditioner made of them.

The Hessian of a linear classifier is I + C Z' A Z with a row's curvature A_i at most a bound
(Boehning 1992, Annals of the Institute of Statistical Mathematics 44:197-200). With all A_i alike
it is diagonal in the eigenbasis of Z'Z, and Z'Z of network features falls off fast: a few hundred
axes hold what makes the problem ill-conditioned. With eigenvalues l_j of Z'Z / n on the axes Q, the
mean t of the others, and c = C sum_i A_i,
    P = (I + c (Q diag(l) Q' + t (I - Q Q')))^-1 = I / (1 + c t) + Q diag(1 / (1 + c l) - 1 / (1 + c t)) Q'
costs 4 d r operations per column, little beside the 4 n d of a product with X and back.

The axes come from block iteration on a random start (Halko, Martinsson and Tropp 2011, SIAM Review
53:217-288). One set serves all folds and strengths: it needs to be near the truth, not true.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .design import Design

Floats = NDArray[np.float32]

AXES = 256
SWEEPS = 2


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The leading axes of Z'Z / n."""

    axes: Floats
    """Orthonormal rows, shape (r, d)."""
    values: Floats
    """Eigenvalues, falling, shape (r,)."""
    rest: float
    """Mean of the other eigenvalues."""

    def precondition(self, residual: Floats, steepness: Floats) -> Floats:
        """Return P times residuals (p, k, d), given c as (p, k)."""
        base: Floats = np.reciprocal(1 + steepness * np.float32(self.rest))
        result: Floats = residual * base[:, :, None]
        if not len(self.values):
            return result
        p, k, d = residual.shape
        along = (residual.reshape(p * k, d) @ self.axes.T).reshape(p, k, len(self.values))
        along *= 1 / (1 + steepness[:, :, None] * self.values) - base[:, :, None]
        result += (along.reshape(p * k, len(self.values)) @ self.axes).reshape(p, k, d)
        return result


def find_spectrum(design: Design, *, axes: int = AXES) -> Spectrum:
    """Return the leading axes of all rows of a design, standardised as in its first fold.

    Z'Z / n is taken with each row alike, so it is that fold's up to the rows it leaves out.
    """
    n, d = design.X.shape
    fold = np.zeros(1, dtype=np.intp)
    trace = sum(design.each(lambda block: _square_sum(design, block)))
    count = min(axes, n, d)
    if trace == 0 or count == 0:
        return Spectrum(np.zeros((0, d), np.float32), np.zeros(0, np.float32), 0.0)

    def square(basis: Floats) -> Floats:
        raw, shift = design.pull(basis[None], np.zeros((1, len(basis)), np.float32), fold)
        parts = design.each(lambda block: design.bounce(raw, shift, block, lambda margins, _: margins)[1])
        return np.asarray(design.push(parts, fold)[0][0], dtype=np.float32)

    basis = np.random.default_rng(0).standard_normal((min(count + 16, d), d), dtype=np.float32)
    for _ in range(SWEEPS):
        basis = np.ascontiguousarray(np.linalg.qr(square(basis).T)[0].T)
    image = square(basis)
    values, vectors = np.linalg.eigh((image @ basis.T).astype(np.float64))
    kept = np.argsort(values)[::-1][:count]
    leading = np.maximum(values[kept] / n, 0)
    rest = max(trace / n - float(leading.sum()), 0.0) / max(d - count, 1)
    # Along axes the block has not settled on, an eigenvalue may come out below the mean of the rest.
    turned = (vectors[:, kept].T.astype(np.float32) @ basis).astype(np.float32)
    return Spectrum(turned, np.maximum(leading, rest).astype(np.float32), rest)


def _square_sum(design: Design, block: int) -> float:
    """Return the sum of squares of a block of standardised rows, a few rows at a time."""
    total = 0.0
    for _, rows in design.pieces(block):
        for start in range(0, len(rows), 256):
            part = (rows[start : start + 256] - design.mean[0]) * design.inverse[0]
            total += float(np.vdot(part, part))
    return total
