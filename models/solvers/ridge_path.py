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
so a fold's sums are those of all rows less those of the few that it holds out: nothing of them is left
but rounding. Where no row is held out twice, those of all are added up from the folds' own. Where
most rows count otherwise in a fold, as with classes that weigh alike, its sums are its own.

Squares lose half of the digits, so all of it is in 64 bits, a few rows at a time. Sums and bands are kept:
further strengths, or coefficients of the one that was chosen, cost next to nothing.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from demijohn.models.threads import one_thread
from numpy.typing import ArrayLike, NDArray

from .band import WIDTH, Band, reduce_to_band
from .blas import add_square
from .streaming import Matrix
from .weighting import Weighting

Doubles = NDArray[np.float64]
Integers = NDArray[np.intp]

ROWS = 2048
"""Rows that are in 64 bits at a time."""
BUDGET = 2**29
"""Bytes that the square matrices in flight may take; one fold at least is in flight."""
MANY = 32
"""Folds whose sums and bands are kept, whatever room there is."""
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


@dataclass(frozen=True, slots=True)
class _Sums:
    """What rows x add up to, weighted."""

    square: Doubles
    """Sum of w x x', shape (d, d), the lower half."""
    cross: Doubles
    """Sum of w x t', shape (d, k)."""
    total: Doubles
    """Sum of w x, shape (d,)."""

    def add(self, other: "_Sums") -> None:
        """Add those of other rows."""
        for own, others in self._pairs(other):
            np.add(own, others, out=own)

    def take_from(self, other: "_Sums") -> None:
        """Become what is left of others without these."""
        for own, others in self._pairs(other):
            np.subtract(others, own, out=own)

    def _pairs(self, other: "_Sums") -> tuple[tuple[Doubles, Doubles], ...]:
        return (self.square, other.square), (self.cross, other.cross), (self.total, other.total)


@dataclass(frozen=True, slots=True)
class _Fold:
    """The equations of one weighting, reduced: m = d of them, or as many as there are rows to train on."""

    band: Band
    """Of A'A or A A', m x m."""
    aimed: Doubles
    """A'R or R, turned as the band is, shape (m, k)."""
    least: float
    """The rounding of the matrix, for which a weaker penalty would not make up."""
    rows: Doubles | None
    """A, shape (m, d), where the rows are fewer."""
    centre: Doubles
    """c, shape (d,)."""
    stretch: Doubles
    """D, shape (d,)."""
    level: Doubles
    """m, shape (k,)."""


class RidgeFolds:
    """Ridge classifiers of several weightings of the same rows.

    Parameters
    ----------
    X : ndarray or StreamedRows of shape (n, d), float32
        Features in rows, not standardised.
    codes : ndarray of shape (n,), intp
        Classes, 0 to classes - 1.
    weightings : sequence of Weighting, length f
        Folds, and their standardisation.
    classes : int, optional
        How many there are; by default one more than the largest code.
    threads : int, optional
        By default as many as there are processors.

    Raises
    ------
    ValueError
        A weighting has no row to train on.
    """

    def __init__(
        self,
        X: Matrix,
        codes: Integers,
        *,
        weightings: Sequence[Weighting],
        classes: int | None = None,
        threads: int | None = None,
    ) -> None:
        classes = int(codes.max()) + 1 if classes is None else classes
        self.X, self.codes, self.weightings = X, codes, weightings
        self._threads = threads or os.cpu_count() or 1
        self._k = 1 if classes == 2 else classes
        counts = [np.count_nonzero(each.weights) for each in weightings]
        if not min(counts):
            raise ValueError("no row has a weight above 0: there is nothing to train on; give some rows a weight")
        self._by_rows = min(counts) < X.shape[1]
        size = int(max(counts)) if self._by_rows else X.shape[1]
        self._room = max(1, min(MANY, BUDGET // (8 * size**2)))
        # With one more than there are processors, five folds leave neither of two idle.
        self._workers = min(self._threads + 1, self._room)
        self._mean = np.mean([each.mean for each in weightings], axis=0, dtype=np.float64)
        # A feature is left out of x only where every weighting leaves it out.
        inverses = np.stack([each.inverse for each in weightings])
        self._inverse = np.min(inverses, axis=0, initial=np.inf, where=inverses > 0)
        self._inverse[~inverses.any(axis=0)] = 0
        self._weights = np.max([each.weights for each in weightings], axis=0).astype(np.float64)
        self._sums: _Sums | None = None
        self._lesser: dict[int, _Sums] = {}
        self._kept: dict[int, _Fold] = {}

    def find(self, weighting: Weighting) -> int | None:
        """Return where a weighting is among those given; None if it is not."""
        return next((f for f, each in enumerate(self.weightings) if each.equals(weighting)), None)

    def solve(self, strengths: ArrayLike, *, some: Sequence[int] | None = None, keep: bool = True) -> RidgePath:
        """Return the classifiers of every strength, and of some weightings, by default of all.

        Parameters
        ----------
        strengths : array-like of shape (s,)
            alpha, positive: sum_i w_i (t_i - W z_i - b)^2 + alpha |W|^2 is least.
        some : sequence of int, optional
            Positions of weightings.
        keep : bool
            Keep the coefficients, 8 s f k d bytes.
        """
        alphas = np.asarray(strengths, dtype=np.float64)
        some = range(len(self.weightings)) if some is None else some
        # Threads of the BLAS wait for each other at products this thin, long where others compute as well.
        with one_thread(blas_alone=True), ThreadPoolExecutor(self._workers) as pool:
            if self._sums is None and not all(f in self._kept for f in some):
                self._add_up_all(pool)
            share = partial(self._solve, alphas, threads=max(1, self._threads // len(some)), keep=keep)
            found = list(pool.map(share, some))
        coefficients, intercepts, held = (np.stack(each, axis=1) for each in zip(*found, strict=True))
        return RidgePath(
            alphas, coefficients if keep else None, intercepts if keep else None, held[:, :, 0], held[:, :, 1]
        )

    def _add_up_all(self, pool: Executor) -> None:
        """Take the sums of all rows, if some weighting will want them."""
        if self._by_rows:
            return
        lost = {f: each for f, weighting in enumerate(self.weightings) if (each := self._lost(weighting)) is not None}
        if not lost:
            return
        rest = self._weights - np.sum(list(lost.values()), axis=0)
        if len(lost) < self._room and (rest >= 0).all():
            # No row is held out twice: the sums of all are those of the folds' own, and of the rest.
            parts = {f: each for f, each in lost.items() if each.any()} | {-1: rest}
        else:
            count = min(self._threads, self._room)
            part = np.arange(len(rest)) * count // len(rest)
            parts = {-1 - number: np.where(part == number, self._weights, 0) for number in range(count)}
        sums = dict(zip(parts, pool.map(self._add_up, parts.values()), strict=True))
        self._sums = sums.pop(-1)
        for f, each in sums.items():
            self._sums.add(each)
            if f >= 0:
                self._lesser[f] = each

    def _pieces(self, weights: Doubles) -> Iterator[tuple[Integers, Doubles]]:
        """Yield those rows that have a weight, some at a time: positions, and x in 64 bits."""
        rows = np.flatnonzero(weights)
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            x = self.X[some].astype(np.float64)
            x -= self._mean
            x *= self._inverse
            yield some, x

    def _targets(self, rows: Integers) -> Doubles:
        """Return the targets of some rows, (m, k)."""
        return np.where(self.codes[rows, None] == (np.arange(self._k) if self._k > 1 else 1), 1.0, -1.0)

    def _fold(self, f: int, *, width: int, threads: int) -> _Fold:
        """Return the equations of a weighting, with a band of some width."""
        weighting = self.weightings[f]
        weights = weighting.weights.astype(np.float64)
        stretch = np.divide(weighting.inverse, self._inverse, out=np.zeros_like(self._inverse), where=self._inverse > 0)
        size = weights.sum()
        shares = np.bincount(self.codes, weights, minlength=max(self._k, 2)) / size
        level = 2 * (shares if self._k > 1 else shares[1:2]) - 1
        A: Doubles | None = None
        if self._by_rows:
            parts = list(self._pieces(weights))
            rows = np.concatenate([some for some, _ in parts])
            A, root = np.concatenate([x for _, x in parts]), np.sqrt(weights[rows])[:, None]
            centre = weights[rows] @ A / size
            A -= centre
            A *= stretch * root
            square, aimed = A @ A.T, root * (self._targets(rows) - level)
        else:
            sums = self._sums_of(f)
            centre, square = sums.total / size, sums.square
            add_square(square, np.sqrt(size) * centre[None], factor=-1)
            square *= stretch[:, None]
            square *= stretch
            aimed = (sums.cross - np.outer(sums.total, level)) * stretch[:, None]
        least = 16 * np.finfo(np.float64).eps * np.trace(square)
        band = reduce_to_band(square, width=width, threads=threads)
        return _Fold(band, band.turn(aimed), least, A, centre, stretch, level)

    def _sums_of(self, f: int) -> _Sums:
        """Return the sums of a weighting."""
        weighting = self.weightings[f]
        if self._sums is None or (lost := self._lost(weighting)) is None:
            return self._add_up(weighting.weights.astype(np.float64))
        sums = self._lesser.pop(f, None) or self._add_up(lost)
        sums.take_from(self._sums)
        return sums

    def _lost(self, weighting: Weighting) -> Doubles | None:
        """Return what the rows weigh less than in the sums of all, (n,), if that is the lesser part."""
        lost = self._weights - weighting.weights
        kept = np.asarray(weighting.weights)
        less = np.count_nonzero(lost) <= np.count_nonzero(kept) and lost.sum() <= kept.sum()
        return lost if less else None

    def _add_up(self, weights: Doubles) -> _Sums:
        """Return the sums of rows."""
        d = self.X.shape[1]
        square, cross, total = np.zeros((d, d)), np.zeros((d, self._k)), np.zeros(d)
        for some, x in self._pieces(weights):
            root = np.sqrt(weights[some])[:, None]
            np.multiply(x, root, out=x)
            add_square(square, x)
            cross += x.T @ (root * self._targets(some))
            total += (x.T @ root)[:, 0]
        return _Sums(square, cross, total)

    def _solve(self, alphas: Doubles, f: int, *, keep: bool, threads: int) -> tuple[Doubles, Doubles, Doubles]:
        """Return coefficients (s, k, d) and intercepts (s, k), if kept, and loss and accuracy held out (s, 2)."""
        weighting, d = self.weightings[f], self.X.shape[1]
        fold, (s,) = self._kept.get(f), alphas.shape
        if fold is None:
            # A band as wide as the matrix is for few strengths, each of which is then a factorisation.
            few = s <= FEW
            fold = self._fold(f, width=max(self.X.shape) if few else WIDTH, threads=threads)
            if not few and len(self._kept) < self._room:
                self._kept[f] = fold
        band, (m, k) = fold.band, fold.aimed.shape
        held_out = np.zeros(len(self.codes)) if weighting.held_out is None else weighting.held_out.astype(np.float64)
        turn_rows = not keep and s * k > np.count_nonzero(held_out)
        coefficients, held = np.empty((s, k, d) if keep else (0, k, d)), np.zeros((s, 2))
        at_once = max(1, COLUMNS // (8 * m * k))
        for part in (slice(start, start + at_once) for start in range(0, s, at_once)):
            solved = np.hstack([band.solve(max(alpha, fold.least), fold.aimed) for alpha in alphas[part]])
            if not turn_rows:
                solved = band.turn_back(solved)
                solved = solved if fold.rows is None else fold.rows.T @ solved
            for rows, x in self._pieces(held_out):
                z = (x - fold.centre) * fold.stretch
                if turn_rows:
                    z = band.turn(z.T if fold.rows is None else fold.rows @ z.T).T
                scores = (z @ solved).reshape(len(rows), -1, k) + fold.level
                held[part] += self._judge(rows, scores, held_out[rows])
            if keep:
                coefficients[part] = solved.T.reshape(-1, k, d)
        # The weighting's own standardisation has its zero elsewhere.
        zero = fold.centre * fold.stretch - (weighting.mean - self._mean) * weighting.inverse
        with np.errstate(invalid="ignore"):
            held /= held_out.sum()
        return coefficients, fold.level - coefficients @ zero, held

    def _judge(self, rows: Integers, scores: Doubles, counts: Doubles) -> Doubles:
        """Return sums of squared errors and of right rows, shape (s, 2), for scores (m, s, k) and counts (m,)."""
        guess = scores.argmax(axis=2) if self._k > 1 else scores[:, :, 0] > 0
        right = guess == self.codes[rows, None]
        scores -= self._targets(rows)[:, None]
        return np.stack([counts @ np.square(scores, out=scores).mean(axis=2), counts @ right], axis=1)
