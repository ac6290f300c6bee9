"""What the heads of a run say of its pictures, and how good that is.

A head is asked of its splits alone: the selection head of training and validation pictures, the one that is
put to use of test pictures, so that those are touched by no other. Where there were folds, heads that have
not seen them speak of training and validation pictures as well.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ...cache.runs import Predictions
from ...models.heads.estimator import Head, score_rows, scores_of
from ...models.solvers.streaming import Matrix, StreamedRows, cut
from ..errors import InvalidRequest
from ..statistics.evaluation import Metrics
from .fitting import Doubles, Fitted, scores_are_probabilities
from .ground import Ground


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """Scores of all pictures of a ground, (n, c) per kind."""

    ground: Ground
    seen: Doubles
    """Of training and validation pictures, by the selection head."""
    held_out: Doubles | None
    """Of the same, by heads that have not seen them; None where there were no folds."""
    test: Doubles
    """Of test pictures, by the head that is put to use."""
    are_probabilities: bool
    temperature: float | None = None
    """That made probabilities of scores."""

    @property
    def honest(self) -> tuple[Doubles, slice]:
        """What is said by heads that have not seen the pictures, by which a run is chosen; and of which pictures."""
        if self.held_out is not None:
            return self.held_out, slice(0, len(self.held_out))
        part = self.ground.where("validation")
        return self.seen[part], part

    @property
    def metrics(self) -> dict[str, Metrics]:
        """How good it is, per split."""
        training, test = self.ground.where("train"), self.ground.where("test")
        said = {"train": (self.seen[training], training), "validation": self.honest, "test": (self.test, test)}
        return {
            split: self.ground.evaluate(part, scores, are_probabilities=self.are_probabilities)
            for split, (scores, part) in said.items()
        }

    @property
    def predictions(self) -> Predictions:
        """What a run keeps of it: of training pictures, what heads say that have not seen them, where there are any."""
        seen = self.seen if self.held_out is None else self.held_out
        return self.ground.predictions(
            np.concatenate([seen, self.test]),
            are_probabilities=self.are_probabilities,
            out_of_fold=self.held_out is not None,
        )

    def calibrate(self) -> Self:
        """Return the same with honest probabilities, by a temperature.

        Raises
        ------
        InvalidRequest
            There is no picture to find it on.
        """
        from ...models.heads.temperature import calibrate, fit_temperature

        scores, part = self.honest
        if not len(scores):
            raise InvalidRequest("--calibrate needs validation pictures, found none: add some, or give --folds 5")
        probable = self.are_probabilities
        temperature = fit_temperature(scores, self.ground.labels[part], are_probabilities=probable)

        def sure(some: Doubles) -> Doubles:
            return calibrate(some, temperature, are_probabilities=probable)

        return replace(
            self,
            seen=sure(self.seen),
            held_out=None if self.held_out is None else sure(self.held_out),
            test=sure(self.test),
            are_probabilities=True,
            temperature=temperature,
        )


def ask_heads(fitted: Fitted, ground: Ground, pictures: Matrix, *, tta: bool) -> Statements:
    """Return what the heads of a run say.

    Parameters
    ----------
    fitted : Fitted
    ground : Ground
    pictures : ndarray or StreamedRows of shape (n, d), float32
        Features of the pictures of the ground in view 0.
    tta : bool
        Every picture is judged by the mean of the scores of all its views.
    """
    seen, test = slice(0, ground.where("validation").stop), ground.where("test")
    views = range(1, len(ground.inputs.views)) if tta else range(0)
    return Statements(
        ground,
        _ask(fitted.selection, ground, pictures, seen, views),
        fitted.held_out,
        _ask(fitted.head, ground, pictures, test, views),
        scores_are_probabilities(fitted.head),
    )


def _ask(head: Head, ground: Ground, pictures: Matrix, part: slice, views: range) -> Doubles:
    """Return the scores of some pictures, (m, c), with the mean over further views."""
    if part.start == part.stop:
        return np.zeros((0, len(ground.examples.classes)))
    said = [score_rows(head, cut(pictures, part))]
    for view in views:
        blocks = (ground.read(rows, view) for rows in _stretches(part, pictures))
        said.append(np.concatenate([scores_of(head, block)[0] for block in blocks]))
    return np.asarray(np.mean(said, axis=0))


def _stretches(part: slice, X: Matrix) -> list[slice]:
    """Return pictures that are in memory together: all, or, where X is streamed, a tenth of what may be."""
    step = max(1, X.memory // 10 // (4 * X.shape[1])) if isinstance(X, StreamedRows) else part.stop - part.start
    return [slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)]
