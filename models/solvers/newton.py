"""Newton's method with preconditioned conjugate gradients, for many linear classifiers at once.

Problem p minimises  f(W, b) = |W|^2 / 2 + C sum_i loss_i(m_i),  m_i = W z_i + b, with a row's weight
inside its loss; the intercepts b are not penalised. All problems take their steps together, so that
every product with X is one wide product for all of them.

    outer: expand the loss at the margins, g = (W, b) gradient; stop when f is as low as asked
    inner: solve H x = -g by conjugate gradients, H u = u + C Z' bend(Z u), preconditioned by
           `Spectrum` and, for the intercepts, by the diagonal; until the residual is a share FORCING
           of what it was (truncated Newton: Dembo, Eisenstat and Steihaug 1982, SIAM J. Numer. Anal.
           19:400-408), each problem for itself: those that are done drop out of the product
    step:  t = 1, or where the slope along x has turned up by then, shorter, to where it is near 0

Margins are carried along: those of a step are the sum of those of the search directions, which the
inner products have made anyway. An inner round costs two products, 4 n d k operations, an outer one
a single one.

What is left to gain is known from the inner solution: by the quadratic model f falls by -g.x / 2.
A problem has converged when that is below `tolerance` times f and the inner solution was good.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .design import Design
from .margins import Expansion, Loss, invert
from .spectrum import Spectrum

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.intp]

Record = TypeVar("Record", "Expansion", "_Search")

FORCING = 0.25
"""How far the inner residual falls, in the norm of the preconditioner, before a step is taken."""
FORCING_KINKED = 0.1
"""A kinked loss is a quadratic on each side: the better it is solved, the sooner the sides are known."""
NOTHING = 1e-9
"""A loss per row as good as none."""
INNER = 250
OUTER = 200
SHORTENINGS = 12


@dataclass(slots=True)
class Batch:
    """Problems that advance together: p of them, k functions each, d features."""

    strengths: Doubles
    """C, shape (p,)."""
    folds: Integers
    """Row of the design's means and scales, shape (p,)."""
    weights: list[Floats]
    """Each block's weights of the rows, shape (p, rows)."""
    targets: list[Any]
    """Each block's targets, as the loss takes them."""
    coefficients: Floats
    """W, for standardised features, shape (p, k, d)."""
    intercepts: Floats
    """b, shape (p, k)."""
    margins: list[Floats]
    """Each block's Z W + b, shape (p, k, rows)."""

    def take(self, kept: Integers) -> "Batch":
        """Return some of the problems, as copies."""
        return Batch(
            self.strengths[kept],
            self.folds[kept],
            [each[kept] for each in self.weights],
            # Codes, and signs in a single row, belong to all problems.
            [each if each.ndim == 1 or len(each) == 1 else each[kept] for each in self.targets],
            self.coefficients[kept],
            self.intercepts[kept],
            [each[kept] for each in self.margins],
        )

    def put(self, part: "Batch", kept: Integers) -> None:
        """Take back what was found for some of the problems."""
        self.coefficients[kept], self.intercepts[kept] = part.coefficients, part.intercepts
        for whole, some in zip(self.margins, part.margins, strict=True):
            whole[kept] = some


@dataclass(frozen=True, slots=True)
class Ending:
    """How each problem of a batch ended, arrays of shape (p,)."""

    objective: Doubles
    converged: NDArray[np.bool_]
    iterations: Integers
    """Inner rounds, each a product with X and one back."""


def minimise(batch: Batch, *, design: Design, loss: Loss, spectrum: Spectrum, tolerance: float) -> Ending:
    """Return how the minimisation of a batch ended; the batch holds what was found.

    Parameters
    ----------
    batch : Batch
        Where to start, with margins that fit; changed in place.
    tolerance : float
        What may be left to gain, as a share of the objective.
    """
    p = len(batch.strengths)
    converged, iterations = np.zeros(p, dtype=bool), np.zeros(p, dtype=np.intp)
    active, part, caution = np.arange(p), batch, np.zeros(p)
    expansions = expand(part, design, loss)
    objective = objective_of(part, expansions)
    # Where all rows may be had for nothing, as those of a single class, f has no bottom to be near to.
    floor = NOTHING * batch.strengths * np.sum([each.sum(axis=1, dtype=float) for each in batch.weights], axis=0)
    for _ in range(OUTER):
        target = tolerance * np.maximum(objective[active], floor[active])
        if loss.kinked:
            blocks = zip(expansions, part.weights, strict=True)
            expansions = [_resist(each, weights, caution[active]) for each, weights in blocks]
        step = _solve(part, expansions, target, design=design, loss=loss, spectrum=spectrum)
        iterations[active] += step.rounds
        length, expansions = advance(part, step, design=design, loss=loss)
        objective[active] = objective_of(part, expansions)
        if part is not batch:
            batch.put(part, active)
        # A step of length 0 is one whose gain is lost in the rounding of 32 bits.
        done = step.solved & (step.gain <= target) & (caution[active] == 0) | (length == 0)
        # Caution grows fast where a step was too long, and goes again.
        before = caution[active]
        less = np.where(before > 2e-4, before / 2, 0)
        caution[active] = np.where(length == 1, less, np.where(length < 0.3, np.clip(4 * before, 1e-3, 1), before))
        converged[active[done & (step.gain <= 10 * target)]] = True
        left = np.flatnonzero(~done)
        if not len(left):
            break
        if len(left) < len(active):
            active, part = active[left], part.take(left)
            expansions = [_take(each, left) for each in expansions]
    return Ending(objective, converged, iterations)


def dot(a: Floats, b: Floats) -> Doubles:
    """Return the inner product of each problem, shape (p,)."""
    return np.asarray(np.vecdot(a.reshape(len(a), -1), b.reshape(len(b), -1)), dtype=np.float64)


@dataclass(slots=True)
class _Search:
    """Conjugate gradients under way, the problem first in every array."""

    number: Integers
    folds: Integers
    strengths: Floats
    steepness: Floats
    size: Doubles
    """Square of the residual in the norm of the preconditioner."""
    first: Doubles
    gain: Doubles
    residual: Floats
    residual_b: Floats
    direction: Floats
    direction_b: Floats
    found: Floats
    found_b: Floats
    found_m: list[Floats]
    curvature: list[Floats]
    inverse: list[Floats]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of each problem."""

    found: Floats
    found_b: Floats
    found_m: list[Floats]
    slope: Doubles
    """Derivative of f along the step at its start, negative."""
    gain: Doubles
    """What f falls by in the quadratic model."""
    rounds: Integers
    solved: NDArray[np.bool_]


def _take(record: Record, kept: Integers) -> Record:
    """Return some of the problems of a record whose arrays all have the problem first."""
    values: dict[str, Any] = {}
    for field in fields(record):
        whole = getattr(record, field.name)
        values[field.name] = [each[kept] for each in whole] if isinstance(whole, list) else whole[kept]
    return replace(record, **values)


def _resist(expansion: Expansion, weights: Floats, caution: Doubles) -> Expansion:
    """Return the expansion with a share of the curvature that rows have on the other side of the kink.

    With all of it the model is above f everywhere, and no step is too long; with none, steps go back
    and forth where many rows are near the kink.
    """
    if not caution.any():
        return expansion
    least = np.float32(2) * weights * caution.astype(np.float32)[:, None]
    curvature = np.maximum(expansion.curvature, least[:, None])
    return replace(expansion, curvature=curvature, total=curvature.sum(axis=2, dtype=np.float64))


def expand(part: Batch, design: Design, loss: Loss) -> list[Expansion]:
    return design.each(lambda block: loss.expand(part.margins[block], part.targets[block], part.weights[block]))


def objective_of(part: Batch, expansions: list[Expansion]) -> Doubles:
    value = np.sum([each.value for each in expansions], axis=0)
    return np.asarray(0.5 * dot(part.coefficients, part.coefficients) + part.strengths * value)


def _solve(
    part: Batch, expansions: list[Expansion], target: Doubles, *, design: Design, loss: Loss, spectrum: Spectrum
) -> Step:
    """Return the truncated Newton step of each problem."""
    search = _begin(part, expansions, design, spectrum)
    p = len(search.number)
    forcing = FORCING_KINKED if loss.kinked else FORCING
    gradient, gradient_b = -search.residual, -search.residual_b
    step = Step(
        np.zeros_like(search.found),
        np.zeros_like(search.found_b),
        [np.zeros_like(each) for each in search.found_m],
        np.zeros(p),
        np.zeros(p),
        np.zeros(p, dtype=np.intp),
        np.zeros(p, dtype=bool),
    )
    for rounds in range(1, INNER + 1):
        sound = _round(search, design, loss, spectrum)
        solved = search.size <= np.maximum(forcing**2 * search.first, 0.02 * target[search.number])
        ending = solved | ~sound | (rounds == INNER)
        if not ending.any():
            continue
        now, at = np.flatnonzero(ending), search.number[ending]
        step.found[at], step.found_b[at] = search.found[now], search.found_b[now]
        for whole, some in zip(step.found_m, search.found_m, strict=True):
            whole[at] = some[now]
        step.gain[at], step.rounds[at], step.solved[at] = search.gain[now], rounds, solved[now]
        if ending.all():
            break
        search = _take(search, np.flatnonzero(~ending))
    step.slope[:] = dot(gradient, step.found) + dot(gradient_b, step.found_b)
    return step


def _begin(part: Batch, expansions: list[Expansion], design: Design, spectrum: Spectrum) -> _Search:
    """Return the search at its start, x = 0, with the residual -g."""
    strengths = part.strengths.astype(np.float32)
    pulled, sums = design.push(design.each(lambda block: design.gather(expansions[block].slope, block)), part.folds)
    residual = -(part.coefficients + strengths[:, None, None] * pulled)
    residual_b = -strengths[:, None] * sums
    total = np.sum([each.total for each in expansions], axis=0)
    # A class without rows, or with none that count any more, still gets a divisor.
    whole = np.sum([each.sum(axis=1, dtype=float) for each in part.weights], axis=0)
    total = np.maximum(total, 1e-6 * whole[:, None] + 1e-20).astype(np.float32)
    steepness = strengths[:, None] * total
    ahead = _precondition(residual, steepness, design, spectrum)
    ahead_b = residual_b / steepness
    size = dot(residual, ahead) + dot(residual_b, ahead_b)
    return _Search(
        np.arange(len(strengths)),
        part.folds,
        strengths,
        steepness,
        size,
        size.copy(),
        np.zeros_like(size),
        residual,
        residual_b,
        ahead,
        ahead_b,
        np.zeros_like(residual),
        np.zeros_like(residual_b),
        [np.zeros_like(each) for each in part.margins],
        [each.curvature for each in expansions],
        [invert(each) for each in part.weights],
    )


def _precondition(residual: Floats, steepness: Floats, design: Design, spectrum: Spectrum) -> Floats:
    """Return the preconditioned residuals, the problems (or of a single one the functions) shared by the threads."""
    p, k, d = residual.shape
    flat, steep = residual.reshape(p * k, 1, d), steepness.reshape(p * k, 1)
    edges = np.linspace(0, p * k, len(design.blocks) + 1).astype(int)
    parts = design.each(
        lambda part: spectrum.precondition(flat[edges[part] : edges[part + 1]], steep[edges[part] : edges[part + 1]])
    )
    return np.concatenate(parts).reshape(p, k, d)


def _round(search: _Search, design: Design, loss: Loss, spectrum: Spectrum) -> NDArray[np.bool_]:
    """Do one round of conjugate gradients and return for which problems it made sense."""
    raw, shift = design.pull(search.direction, search.direction_b, search.folds)

    def bend(block: int) -> tuple[Floats, tuple[Floats, Floats]]:
        curvature, inverse = search.curvature[block], search.inverse[block]
        return design.bounce(
            raw, shift, block, lambda change, rows: loss.bend(change, curvature[:, :, rows], inverse[:, rows])
        )

    changes, parts = zip(*design.each(bend), strict=True)
    image, image_b = design.push(list(parts), search.folds)
    image *= search.strengths[:, None, None]
    image += search.direction
    image_b = image_b * search.strengths[:, None]
    bending = dot(search.direction, image) + dot(search.direction_b, image_b)
    sound = (bending > 0) & (search.size > 0) & np.isfinite(bending)
    reach = np.where(sound, search.size / np.where(sound, bending, 1), 0)
    search.gain += 0.5 * reach * search.size
    alpha = reach.astype(np.float32)

    def move(block: int) -> None:
        change: Floats = changes[block]
        change *= alpha[:, None, None]
        search.found_m[block] += change

    design.each(move)
    search.found += alpha[:, None, None] * search.direction
    search.found_b += alpha[:, None] * search.direction_b
    image *= alpha[:, None, None]
    search.residual -= image
    search.residual_b -= alpha[:, None] * image_b
    ahead = _precondition(search.residual, search.steepness, design, spectrum)
    ahead_b = search.residual_b / search.steepness
    size = dot(search.residual, ahead) + dot(search.residual_b, ahead_b)
    beta = np.where(sound, size / np.where(sound, search.size, 1), 0).astype(np.float32)
    search.direction *= beta[:, None, None]
    search.direction += ahead
    search.direction_b = beta[:, None] * search.direction_b + ahead_b
    search.size = size
    return np.asarray(sound)


def advance(part: Batch, step: Step, *, design: Design, loss: Loss) -> tuple[Doubles, list[Expansion]]:
    """Move along the steps; return how far, and the expansions there.

    f is convex: while its slope is not clearly up at the end of the step, the step is good. Slopes
    are exact where differences of f are lost in rounding.
    """
    steep = step.slope < 0
    length = np.where(steep, 1.0, 0.0)
    start = dot(part.coefficients, step.found)
    square = dot(step.found, step.found)
    for attempt in range(SHORTENINGS + 1):
        t = length.astype(np.float32)[:, None, None]

        def look(block: int, t: Floats = t) -> tuple[Floats, Expansion, Doubles]:
            margins = part.margins[block] + t * step.found_m[block]
            expansion = loss.expand(margins, part.targets[block], part.weights[block])
            return margins, expansion, dot(expansion.slope, step.found_m[block])

        margins, there, slopes = zip(*design.each(look), strict=True)
        slope = start + length * square + part.strengths * np.sum(slopes, axis=0)
        long = steep & ~(slope <= 0.5 * np.abs(step.slope)) & (length > 0)
        if not long.any():
            break
        # The secant's root, and never less than a tenth of where the slope was up.
        share = np.abs(step.slope) / (np.abs(step.slope) + np.where(np.isfinite(slope), np.abs(slope), np.inf))
        last = attempt >= SHORTENINGS - 1
        length = np.where(long, 0.0 if last else length * np.clip(share, 0.1, 0.9), length)
    part.margins[:] = margins
    t = length.astype(np.float32)[:, None, None]
    part.coefficients += t * step.found
    part.intercepts += t[:, 0] * step.found_b
    return length, list(there)
