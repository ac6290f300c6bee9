"""Linear classifiers for many strengths of the penalty and many weightings of the rows, all at once.

A problem is a strength C and a weighting of the rows: a fold gives weight 0 to the rows it holds
out, and has the mean and scale of its own rows. It minimises, as scikit-learn does,
    |W|^2 / 2 + C sum_i w_i loss(W z_i + b, y_i),    z = (x - mean) / scale
with the intercepts b not penalised, for
    logistic        two classes: one function; more: the symmetric multinomial, one function a class
    squared_hinge   two classes: one function; more: one machine for each class against the others
(scikit-learn's LinearSVC does penalise the intercept, as a feature of its own).

The strengths are gone through from the strong to the weak penalty in waves: those of one wave, of
all weightings, are solved together from where the last wave points to. On the way the margins of
the rows held out are there anyway, so each problem is judged. Once the loss on these has clearly
turned (`has_turned`), the weaker penalties, which cost most, may be left out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .design import Design
from .margins import LOGISTIC, SOFTMAX, SQUARED_HINGE, Loss
from .newton import Batch, Step, advance, dot, expand, minimise
from .spectrum import Spectrum, find_spectrum
from .streaming import Matrix, StreamedRows
from .weighting import Weighting

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.intp]
Criterion = Literal["loss", "accuracy"]

BUDGET = 512 * 2**20
"""Bytes that the problems in flight may take."""
SHARE = 0.25
WIDTH = 96
"""Columns from which a product with X is near the machine's best rate."""
WAVE = 4
"""At most so many strengths start from the same place."""
STRIDE = 30
"""From one to the next of the strengths that only lead to the first one asked, as a factor."""
STRIDE_KINKED = 3
"""The same of a kinked loss, whose sides a far start does not know: with 40 classes and C = 1, 20 instead of 66 s."""
ROUGH = 1e-2
PATIENCE = 4
RISE = 1.1


@dataclass(frozen=True, slots=True)
class Path:
    """What was found, for s strengths in the order asked and f weightings."""

    strengths: Doubles
    """C, shape (s,)."""
    coefficients: Floats | None
    """For standardised features, shape (s, f, k, d), with k = 1 for two classes; None if not kept."""
    intercepts: Floats
    """Shape (s, f, k)."""
    objective: Doubles
    """Shape (s, f)."""
    converged: NDArray[np.bool_]
    """Shape (s, f); one machine of many that did not converge counts for all."""
    iterations: Integers
    """Products with X and back, shape (s, f)."""
    held_out_loss: Doubles
    """Mean loss on the rows held out, shape (s, f)."""
    held_out_accuracy: Doubles
    """Share of the rows held out that are right, shape (s, f)."""
    left: NDArray[np.bool_]
    """Strengths that were left out since the loss had turned, shape (s,); their numbers are nan."""

    def best(self, by: Criterion = "loss") -> int:
        """Return which strength does best on the rows held out, on the mean of the weightings.

        Among equals by accuracy the least loss is taken, and then the strongest penalty.
        """
        loss, accuracy = mean_over_weightings(self.held_out_loss), mean_over_weightings(self.held_out_accuracy)
        if np.isnan(loss).all():
            raise ValueError("no strength can be chosen: no weighting holds out rows; give held_out")
        order = [
            (-accuracy[i] if by == "accuracy" else loss[i], loss[i], self.strengths[i], i)
            for i in range(len(loss))
            if not np.isnan(loss[i])
        ]
        return int(min(order)[3])


def fit_path(
    X: Matrix,
    codes: Integers,
    *,
    strengths: ArrayLike,
    weightings: Sequence[Weighting],
    loss: Literal["logistic", "squared_hinge"] = "logistic",
    classes: int | None = None,
    tolerance: float = 1e-5,
    leave: Criterion | None = None,
    keep: bool = True,
    budget: int | None = None,
    threads: int | None = None,
) -> Path:
    """Return the linear classifiers of every strength and weighting.

    Parameters
    ----------
    X : ndarray or StreamedRows of shape (n, d), float32
        Features in rows, not standardised; neither copied nor changed.
    codes : ndarray of shape (n,), intp
        Classes, 0 to classes - 1.
    strengths : array-like of shape (s,)
        C, in any order.
    weightings : sequence of Weighting, length f
        Folds, and their standardisation.
    loss : "logistic" or "squared_hinge"
        Of a row; see above.
    classes : int, optional
        How many there are; by default one more than the largest code.
    tolerance : float
        What may be left to gain, as a share of the objective.
    leave : "loss" or "accuracy", optional
        Leave the weaker penalties out once it is clear that `best` by this will not choose them.
    keep : bool
        Keep the coefficients, 4 s f k d bytes.
    budget : int, optional
        Bytes that the problems in flight may take beside X; at least one is in flight. By default
        `BUDGET`, and where rows are streamed no more than `SHARE` of what training may take.
    threads : int, optional
        By default as many as there are processors.

    Returns
    -------
    Path
        Coefficients, how they were found, and how they do on the rows held out.
    """
    if budget is None:
        budget = min(BUDGET, int(SHARE * X.memory)) if isinstance(X, StreamedRows) else BUDGET
    given = np.asarray(strengths, dtype=np.float64)
    count = int(codes.max()) + 1 if classes is None else classes
    mean = np.stack([each.mean for each in weightings])
    scale = np.stack([each.scale for each in weightings])
    order = np.argsort(given, kind="stable")
    with Design(X, mean=mean, scale=scale, threads=threads or os.cpu_count() or 1) as design:
        tracker = _Tracker(design, codes, count, loss, weightings, given, keep)
        spectrum = find_spectrum(design)
        waves = plan_waves(order, f=len(weightings), width=tracker.width, rows=len(X), d=X.shape[1], budget=budget)
        tracker.come_near(len(waves[0][0]), spectrum)
        for wave in waves:
            for problems in wave:
                tracker.solve(problems, spectrum, tolerance)
            tracker.turn_page(wave)
            if leave and tracker.has_turned(order, leave):
                break
    return tracker.path()


def plan_waves(order: Integers, *, f: int, width: int, rows: int, d: int, budget: int) -> list[list[Integers]]:
    """Return waves of batches of problems, each a row (number of strength, number of weighting).

    A wave goes on to the next strengths; its batches are what the budget has room for at once.
    """
    # Arrays of 32 bits as large as the margins, and as the coefficients, that live at the same time.
    room = max(1, int(budget // (4 * width * (14 * rows + 12 * d))))
    most = max(1, min(WAVE, WIDTH // (f * width), room // f))
    waves = []
    for start in range(0, len(order), most):
        wanted = order[start : start + most]
        problems = np.stack(np.meshgrid(wanted, np.arange(f), indexing="ij"), axis=-1).reshape(-1, 2)
        waves.append([problems[first : first + room] for first in range(0, len(problems), room)])
    return waves


def has_turned(losses: Doubles, accuracies: Doubles, *, rows: float, by: Criterion) -> bool:
    """Say whether the loss on rows held out has clearly turned, on the way to weaker penalties.

    That is when it has risen at each of the last PATIENCE strengths. Where loss chooses, it has to be
    RISE times the least so far or more at each of them, too. Where accuracy chooses, and loss among
    those as good (`tuning.choose`), none of them may be better by more than a standard error than the
    one with the least loss.
    """
    if len(losses) <= PATIENCE or np.isnan(losses).any():
        return False
    last = losses[-PATIENCE - 1 :]
    if not (np.diff(last) > 0).all():
        return False
    if by == "loss":
        return bool((last[1:] >= RISE * losses.min()).all())
    best = accuracies.max()
    error = max(np.sqrt(best * (1 - best) / max(rows, 1)), 1 / max(rows, 1))
    return bool(accuracies[-PATIENCE:].max() <= accuracies[losses.argmin()] + error)


class _Tracker:
    """What is known while the path is gone through."""

    def __init__(
        self,
        design: Design,
        codes: Integers,
        classes: int,
        loss: str,
        weightings: Sequence[Weighting],
        strengths: Doubles,
        keep: bool,
    ) -> None:
        s, f, d = len(strengths), len(weightings), design.X.shape[1]
        self.design, self.codes, self.strengths = design, codes, strengths
        self.width = 1 if classes == 2 else classes
        self.symmetric = loss == "logistic" and classes != 2
        self.loss: Loss = SOFTMAX if self.symmetric else LOGISTIC if loss == "logistic" else SQUARED_HINGE
        self.weights = np.stack([np.asarray(each.weights, dtype=np.float32) for each in weightings])
        self.held_out = [each.held_out for each in weightings]
        self.coefficients = np.full((s, f, self.width, d), np.nan, np.float32) if keep else None
        self.intercepts = np.full((s, f, self.width), np.nan, np.float32)
        self.objective, self.held_loss, self.held_accuracy = (np.full((s, f), np.nan) for _ in range(3))
        self.converged, self.iterations = np.zeros((s, f), dtype=bool), np.zeros((s, f), dtype=np.intp)
        self.done = np.zeros(s, dtype=bool)
        # The last two points of the path, of each weighting: the log of C, coefficients, intercepts.
        self.points: list[tuple[float, Floats, Floats]] = []
        self.fresh: dict[int, tuple[Floats, Floats]] = {}

    def path(self) -> Path:
        return Path(
            self.strengths,
            self.coefficients,
            self.intercepts,
            self.objective,
            self.converged,
            self.iterations,
            self.held_loss,
            self.held_accuracy,
            ~self.done,
        )

    def has_turned(self, order: Integers, by: Criterion) -> bool:
        gone = order[self.done[order]]
        rows = sum(int(np.count_nonzero(each)) for each in self.held_out if each is not None)
        loss, accuracy = (mean_over_weightings(each[gone]) for each in (self.held_loss, self.held_accuracy))
        return has_turned(loss, accuracy, rows=rows, by=by)

    def turn_page(self, wave: list[Integers]) -> None:
        """Take the last strengths of a wave for what the next one starts from."""
        solved = sorted(self.fresh, key=lambda number: self.strengths[number])
        for number in solved[-2:]:
            self.points.append((float(np.log(self.strengths[number])), *self.fresh[number]))
        self.points = self.points[-2:]
        self.fresh = {}
        self.done[np.concatenate(wave)[:, 0]] = True

    def solve(self, problems: Integers, spectrum: Spectrum, tolerance: float) -> None:
        """Solve some problems, (p, 2), and judge them."""
        batch = self._start(self.strengths[problems[:, 0]], problems[:, 1])
        outcome = minimise(batch, design=self.design, loss=self.loss, spectrum=spectrum, tolerance=tolerance)
        p, (s, f) = len(problems), problems.T
        d = batch.coefficients.shape[2]
        coefficients = batch.coefficients.reshape(p, self.width, d)
        intercepts = batch.intercepts.reshape(p, self.width)
        if self.symmetric:
            intercepts = intercepts - intercepts.mean(axis=1, keepdims=True)
        self.objective[s, f] = outcome.objective.reshape(p, -1).sum(axis=1)
        self.converged[s, f] = outcome.converged.reshape(p, -1).all(axis=1)
        self.iterations[s, f] = outcome.iterations.reshape(p, -1).max(axis=1)
        self.intercepts[s, f] = intercepts
        if self.coefficients is not None:
            self.coefficients[s, f] = coefficients
        for number in np.unique(s)[-2:]:
            some = s == number
            whole = self.fresh.setdefault(
                int(number),
                (
                    np.zeros((len(self.weights), self.width, d), np.float32),
                    np.zeros((len(self.weights), self.width), np.float32),
                ),
            )
            whole[0][f[some]], whole[1][f[some]] = coefficients[some], intercepts[some]
        for row, (number, fold) in enumerate(problems):
            self._judge(row, int(number), int(fold), batch)

    def come_near(self, room: int, spectrum: Spectrum) -> None:
        """Go from penalties so strong that all is flat towards the first strength, roughly."""
        flat = 1 / (float(self.weights.sum(axis=1).max()) * max(float(spectrum.values.max(initial=0)), 1e-30))
        first = float(self.strengths.min())
        stride = STRIDE_KINKED if self.loss.kinked else STRIDE
        steps = int(np.log(first / flat) / np.log(stride)) if first > flat else 0
        f, d = len(self.weights), self.design.X.shape[1]
        for left in range(steps, 0, -1):
            point = np.zeros((f, self.width, d), np.float32), np.zeros((f, self.width), np.float32)
            for start in range(0, f, room):
                folds = np.arange(start, min(start + room, f))
                batch = self._start(np.full(len(folds), first / stride**left), folds)
                minimise(batch, design=self.design, loss=self.loss, spectrum=spectrum, tolerance=ROUGH)
                point[0][folds] = batch.coefficients.reshape(len(folds), self.width, d)
                point[1][folds] = batch.intercepts.reshape(len(folds), self.width)
            self.points = [*self.points, (float(np.log(first / stride**left)), *point)][-2:]

    def _start(self, asked: Doubles, numbers: Integers) -> Batch:
        """Return problems at the point that the last two points of the path lead to."""
        p, d, blocks = len(numbers), self.design.X.shape[1], self.design.blocks
        lines = 1 if self.symmetric else self.width
        shape = (p * lines, self.width // lines)
        strengths, folds = np.repeat(asked, lines), np.repeat(numbers, lines)
        batch = Batch(
            strengths,
            folds,
            [self.weights[folds, block] for block in blocks],
            [self._targets(block, p) for block in blocks],
            np.zeros((*shape, d), np.float32),
            np.zeros(shape, np.float32),
            [np.zeros((*shape, block.stop - block.start), np.float32) for block in blocks],
        )
        if not self.points:
            return batch
        where, coefficients, intercepts = self.points[-1]
        batch.coefficients[:] = coefficients[numbers].reshape(batch.coefficients.shape)
        batch.intercepts[:] = intercepts[numbers].reshape(shape)
        batch.margins[:] = self._margins(batch, batch.coefficients, batch.intercepts)
        if len(self.points) == 2 and (gap := where - self.points[0][0]) > 0:
            reach = ((np.log(strengths) - where) / gap).astype(np.float32)
            change = (coefficients - self.points[0][1])[numbers].reshape(batch.coefficients.shape)
            change_b = (intercepts - self.points[0][2])[numbers].reshape(shape)
            self._follow(batch, reach[:, None, None] * change, reach[:, None] * change_b)
        return batch

    def _follow(self, batch: Batch, change: Floats, change_b: Floats) -> None:
        """Go on along the path as far as the objective falls."""
        expansions = expand(batch, self.design, self.loss)
        margins = self._margins(batch, change, change_b)
        slopes = [dot(each.slope, change_m) for each, change_m in zip(expansions, margins, strict=True)]
        slope = dot(batch.coefficients, change) + batch.strengths * np.sum(slopes, axis=0)
        none = np.zeros(len(slope), dtype=np.intp)
        step = Step(change, change_b, margins, slope, slope, none, none.astype(bool))
        advance(batch, step, design=self.design, loss=self.loss)

    def _margins(self, batch: Batch, coefficients: Floats, intercepts: Floats) -> list[Floats]:
        raw, shift = self.design.pull(coefficients, intercepts, batch.folds)
        return self.design.each(lambda block: self.design.margins(raw, shift, block))

    def _targets(self, block: slice, p: int) -> Integers | Floats:
        codes = self.codes[block]
        if self.symmetric:
            return codes
        if self.width == 1:
            return np.where(codes == 1, 1, -1).astype(np.float32)[None]
        signs = np.where(codes == np.arange(self.width)[:, None], 1, -1).astype(np.float32)
        return np.tile(signs, (p, 1))

    def _judge(self, row: int, number: int, fold: int, batch: Batch) -> None:
        held_out = self.held_out[fold]
        if held_out is None:
            return
        lines = 1 if self.symmetric else self.width
        total = np.zeros(3)
        for block, margins in zip(self.design.blocks, batch.margins, strict=True):
            rows = np.flatnonzero(held_out[block])
            weights = np.asarray(held_out[block][rows], dtype=np.float64)
            own = margins[row * lines : (row + 1) * lines].reshape(self.width, -1)[:, rows].astype(np.float64)
            losses, right = self._score(own, self.codes[block][rows])
            total += weights @ losses, weights @ right, weights.sum()
        self.held_loss[number, fold], self.held_accuracy[number, fold] = total[:2] / total[2]

    def _score(self, margins: Doubles, codes: Integers) -> tuple[Doubles, NDArray[np.bool_]]:
        """Return loss and rightness of rows with margins (k, m); of many machines, the mean loss."""
        if self.width == 1:
            right = (margins[0] > 0) == (codes == 1)
            sided = np.where(codes == 1, margins[0], -margins[0])
            return (np.logaddexp(0, -sided) if self.loss is LOGISTIC else np.maximum(0, 1 - sided) ** 2), right
        right = margins.argmax(axis=0) == codes
        if self.symmetric:
            return np.logaddexp.reduce(margins, axis=0) - margins[codes, np.arange(len(codes))], right
        sided = np.where(codes == np.arange(self.width)[:, None], margins, -margins)
        return (np.maximum(0, 1 - sided) ** 2).mean(axis=0), right


def mean_over_weightings(values: Doubles) -> Doubles:
    """Return the means over the weightings that were judged, shape (s,), or nan."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=1)
    result = np.full(len(values), np.nan)
    np.divide(total, known.sum(axis=1), out=result, where=known.any(axis=1))
    return result
