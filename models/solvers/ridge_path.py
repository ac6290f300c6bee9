"""Ridge classifiers of every strength and weighting, as scikit-learn's RidgeClassifier finds one by one.

Targets t are 1 for a row's own class and -1 for the others (two classes: 1 for the second one).
Rows z, standardised, count w, sum w = N. With centre c = sum w z / N and level m = sum w t / N,
    (A'A + alpha I) W = A'R,  score z'W + b,  b = m - c'W        A = sqrt(w) (z - c), R = sqrt(w) (t - m)
and with fewer rows than features as well (Saunders, Gammerman and Vovk 1998, ICML)
    W = A'U,  (A A' + alpha I) U = R
The smaller square matrix is brought to the form of a band once, for all alphas (`band`). Solutions are
turned back to where the rows are, or rows held out turned to where solutions are, whichever are fewer.

Folds share the sums. With x standardised in one way for all, z = D x but for the mean, which the
intercept takes up, D diagonal:
    A'A = D (sum w x x' - N c c') D,  A'R = D (sum w x t' - N c m')        c = sum w x / N
so the sums are taken once for all rows, and a fold's are these less those of the few rows that it
holds out: nothing of them is left but rounding. Where most rows count otherwise in a fold, as with
classes that weigh alike, its sums are its own.

Squares lose half of the digits, so all of it is in 64 bits, a few rows at a time.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from .band import WIDTH, reduce_to_band
from .blas import add_square
from .streaming import Matrix
from .weighting import Weighting

Doubles = NDArray[np.float64]
Integers = NDArray[np.intp]

ROWS = 2048
"""Rows that are in 64 bits at a time."""
BUDGET = 2**29
"""Bytes that the square matrices in flight may take; one fold at least is in flight."""
COLUMNS = 2**26
"""Bytes of solutions that a fold has at a time; those of one strength at least."""
FEW = 3
"""So many strengths are solved by a factorisation each."""


@dataclass(frozen=True, slots=True)
class RidgePath:
    """Classifiers of s strengths and f weightings, k functions each (one for two classes), on d features."""

    strengths: Doubles
    """alpha, shape (s,)."""
    coefficients: Doubles | None
    """For features standardised by the weighting, shape (s, f, k, d), if they were to be kept."""
    intercepts: Doubles | None
    """Shape (s, f, k), likewise."""
    held_out_loss: Doubles
    """Mean squared error on the rows held out, shape (s, f); nan where none are."""
    held_out_accuracy: Doubles
    """Share of the rows held out that are right, shape (s, f); nan where none are."""


def fit_ridge_path(
    X: Matrix,
    codes: Integers,
    *,
    strengths: ArrayLike,
    weightings: Sequence[Weighting],
    classes: int | None = None,
    keep: bool = True,
    threads: int | None = None,
) -> RidgePath:
    """Return ridge classifiers of every strength and weighting.

    Parameters
    ----------
    X : ndarray or StreamedRows of shape (n, d), float32
        Features in rows, not standardised.
    codes : ndarray of shape (n,), intp
        Classes, 0 to classes - 1.
    strengths : array-like of shape (s,)
        alpha, positive: sum_i w_i (t_i - W z_i - b)^2 + alpha |W|^2 is least.
    weightings : sequence of Weighting, length f
        Folds, and their standardisation.
    classes : int, optional
        How many there are; by default one more than the largest code.
    keep : bool
        Keep the coefficients, 8 s f k d bytes.
    threads : int, optional
        By default as many as there are processors.

    Raises
    ------
    ValueError
        A weighting has no row to train on.
    """
    alphas = np.asarray(strengths, dtype=np.float64)
    task = _Task(X, codes, int(codes.max()) + 1 if classes is None else classes, weightings)
    threads = threads or os.cpu_count() or 1
    room = max(1, BUDGET // (8 * task.size**2))
    together = min(threads, len(weightings), room)
    # Threads of the BLAS wait for each other at products this thin, long where others compute as well.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        task.add_up(pool, min(threads, room))
        found: list[tuple[Doubles, Doubles, Doubles]] = []
        for start in range(0, len(weightings), together):
            some = weightings[start : start + together]
            share = partial(_solve_fold, task, alphas, threads=threads // len(some), keep=keep)
            found += pool.map(share, some)
    coefficients, intercepts, held = (np.stack(each, axis=1) for each in zip(*found, strict=True))
    return RidgePath(alphas, coefficients if keep else None, intercepts if keep else None, held[:, :, 0], held[:, :, 1])


@dataclass(frozen=True, slots=True)
class _Sums:
    """What rows x add up to, weighted."""

    square: Doubles
    """Sum of w x x', shape (d, d), the lower half."""
    cross: Doubles
    """Sum of w x t', shape (d, k)."""
    total: Doubles
    """Sum of w x, shape (d,)."""


@dataclass(frozen=True, slots=True)
class _Fold:
    """The equations of one weighting: m = d of them, or as many as there are rows to train on."""

    square: Doubles
    """A'A or A A', shape (m, m), the lower half."""
    aimed: Doubles
    """A'R or R, shape (m, k)."""
    rows: Doubles | None
    """A, shape (m, d), where the rows are fewer."""
    centre: Doubles
    """c, shape (d,)."""
    stretch: Doubles
    """D, shape (d,)."""
    level: Doubles
    """m, shape (k,)."""


class _Task:
    """Rows x in a standardisation that all weightings share, and what these have in common."""

    def __init__(self, X: Matrix, codes: Integers, classes: int, weightings: Sequence[Weighting]) -> None:
        self.X, self.codes, self.weightings = X, codes, weightings
        self.k = 1 if classes == 2 else classes
        counts = [np.count_nonzero(each.weights) for each in weightings]
        if not min(counts):
            raise ValueError("no row has a weight above 0: there is nothing to train on; give some rows a weight")
        self.by_rows = min(counts) < X.shape[1]
        self.size = int(max(counts)) if self.by_rows else X.shape[1]
        self.mean = np.mean([each.mean for each in weightings], axis=0, dtype=np.float64)
        # A feature is left out of x only where every weighting leaves it out.
        inverses = np.stack([each.inverse for each in weightings])
        self.inverse = np.min(inverses, axis=0, initial=np.inf, where=inverses > 0)
        self.inverse[~inverses.any(axis=0)] = 0
        self.weights = np.max([each.weights for each in weightings], axis=0).astype(np.float64)
        self.sums: _Sums | None = None

    def add_up(self, pool: Executor, count: int) -> None:
        """Take the sums of all rows, if some weighting will want them, in so many parts."""
        if self.by_rows or all(self._lost(each) is None for each in self.weightings):
            return
        part = np.arange(len(self.weights)) * count // len(self.weights)
        first, *others = pool.map(self._add_up, (np.where(part == number, self.weights, 0) for number in range(count)))
        for other in others:
            first.square[:] += other.square
            first.cross[:] += other.cross
            first.total[:] += other.total
        self.sums = first

    def pieces(self, weights: Doubles) -> Iterator[tuple[Integers, Doubles]]:
        """Yield those rows that have a weight, some at a time: positions, and x in 64 bits."""
        rows = np.flatnonzero(weights)
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            x = self.X[some].astype(np.float64)
            x -= self.mean
            x *= self.inverse
            yield some, x

    def targets(self, rows: Integers) -> Doubles:
        """Return the targets of some rows, (m, k)."""
        return np.where(self.codes[rows, None] == (np.arange(self.k) if self.k > 1 else 1), 1.0, -1.0)

    def fold(self, weighting: Weighting) -> _Fold:
        """Return the equations of a weighting."""
        weights = weighting.weights.astype(np.float64)
        stretch = np.divide(weighting.inverse, self.inverse, out=np.zeros_like(self.inverse), where=self.inverse > 0)
        size = weights.sum()
        shares = np.bincount(self.codes, weights, minlength=max(self.k, 2)) / size
        level = 2 * (shares if self.k > 1 else shares[1:2]) - 1
        if self.by_rows:
            parts = list(self.pieces(weights))
            rows = np.concatenate([some for some, _ in parts])
            A, root = np.concatenate([x for _, x in parts]), np.sqrt(weights[rows])[:, None]
            centre = weights[rows] @ A / size
            A -= centre
            A *= stretch * root
            return _Fold(A @ A.T, root * (self.targets(rows) - level), A, centre, stretch, level)
        lost = self._lost(weighting)
        sums = self._add_up(weights) if lost is None or self.sums is None else self._add_up(lost, less_than=self.sums)
        centre = sums.total / size
        square = sums.square
        add_square(square, np.sqrt(size) * centre[None], factor=-1)
        square *= stretch[:, None]
        square *= stretch
        aimed = (sums.cross - np.outer(sums.total, level)) * stretch[:, None]
        return _Fold(square, aimed, None, centre, stretch, level)

    def _lost(self, weighting: Weighting) -> Doubles | None:
        """Return what the rows weigh less than in the sums of all, (n,), if that is the lesser part."""
        lost = self.weights - weighting.weights
        kept = np.asarray(weighting.weights)
        less = np.count_nonzero(lost) <= np.count_nonzero(kept) and lost.sum() <= kept.sum()
        return lost if less else None

    def _add_up(self, weights: Doubles, *, less_than: _Sums | None = None) -> _Sums:
        """Return the sums of rows, or what remains of others without them."""
        d = self.X.shape[1]
        if less_than is None:
            sign, square, cross, total = 1, np.zeros((d, d)), np.zeros((d, self.k)), np.zeros(d)
        else:
            sign, square, cross, total = (
                -1,
                *(each.copy() for each in (less_than.square, less_than.cross, less_than.total)),
            )
        for some, x in self.pieces(weights):
            root = np.sqrt(weights[some])[:, None]
            np.multiply(x, root, out=x)
            add_square(square, x, factor=sign)
            cross += sign * (x.T @ (root * self.targets(some)))
            total += sign * (x.T @ root)[:, 0]
        return _Sums(square, cross, total)


def _solve_fold(
    task: _Task, alphas: Doubles, weighting: Weighting, *, keep: bool, threads: int
) -> tuple[Doubles, Doubles, Doubles]:
    """Return coefficients (s, k, d) and intercepts (s, k), if kept, and loss and accuracy on rows held out (s, 2)."""
    d = task.X.shape[1]
    fold = task.fold(weighting)
    (m, k), s = fold.aimed.shape, len(alphas)
    # A penalty below the rounding of the matrix would not make up for it.
    alphas = np.maximum(alphas, 16 * np.finfo(np.float64).eps * np.trace(fold.square))
    band = reduce_to_band(fold.square, width=WIDTH if s > FEW else m, threads=threads)
    aimed = band.turn(fold.aimed)
    held_out = np.zeros(len(task.codes)) if weighting.held_out is None else weighting.held_out.astype(np.float64)
    turn_rows = not keep and s * k > np.count_nonzero(held_out)
    coefficients, held = np.empty((s, k, d) if keep else (0, k, d)), np.zeros((s, 2))
    at_once = max(1, COLUMNS // (8 * m * k))
    for some in (slice(start, start + at_once) for start in range(0, s, at_once)):
        solved = np.hstack([band.solve(alpha, aimed) for alpha in alphas[some]])
        if not turn_rows:
            solved = band.turn_back(solved)
            solved = solved if fold.rows is None else fold.rows.T @ solved
        for rows, x in task.pieces(held_out):
            z = (x - fold.centre) * fold.stretch
            if turn_rows:
                z = band.turn(z.T if fold.rows is None else fold.rows @ z.T).T
            held[some] += _judge(task, rows, (z @ solved).reshape(len(rows), -1, k) + fold.level, held_out[rows])
        if keep:
            coefficients[some] = solved.T.reshape(-1, k, d)
    # The weighting's own standardisation has its zero elsewhere.
    zero = fold.centre * fold.stretch - (weighting.mean - task.mean) * weighting.inverse
    with np.errstate(invalid="ignore"):
        held /= held_out.sum()
    return coefficients, fold.level - coefficients @ zero, held


def _judge(task: _Task, rows: Integers, scores: Doubles, counts: Doubles) -> Doubles:
    """Return sums of squared errors and of rows that are right, shape (s, 2), for scores (m, s, k) and counts (m,)."""
    guess = scores.argmax(axis=2) if task.k > 1 else scores[:, :, 0] > 0
    right = guess == task.codes[rows, None]
    scores -= task.targets(rows)[:, None]
    return np.stack([counts @ np.square(scores, out=scores).mean(axis=2), counts @ right], axis=1)
