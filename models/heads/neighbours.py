"""k nearest neighbours by cosine: rows are centred and put on the unit sphere; the nearest k vote."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from ..errors import UnsuitableRows, UnsuitableSetting
from ..solvers.weighting import Weighting
from .pipelines import ProbableHead
from .scaling import make_scaler
from .trial import Rows, Trial
from .tuning import Grid, GridScores, TunedHead

Doubles = NDArray[np.float64]

_ROWS = 1024
"""Rows that look for their neighbours at a time."""


class NeighboursHead(TunedHead, ProbableHead):
    """The shares of the k nearest training rows by cosine; k is chosen."""

    strength = "neighbours"

    def __init__(self, *, neighbours: int | None = None, seed: int = 0) -> None:
        self.neighbours = neighbours
        self.seed = seed

    @property
    def grid(self) -> Grid:
        """Numbers of neighbours; there is no use in more."""
        return Grid((1, 3, 5, 7, 10, 15, 20, 30, 50, 100), usual=5, simplest="greatest", limits=(1, 100))

    def _check_settings(self) -> None:
        given = self.neighbours
        if given is not None and (given < 1 or given != int(given)):
            raise UnsuitableSetting(f"--neighbours is {given:g}, expected a whole number from 1: choose one")

    def _judge(self, trial: Trial, strengths: Doubles) -> GridScores:
        classes = len(trial.rows.classes)
        loss, accuracy = np.zeros((2, len(strengths), len(trial.weightings)))
        for f, each in enumerate(trial.weightings):
            held, votes = _vote(trial.rows, each, strengths)
            codes = trial.rows.codes[held]
            for s, strength in enumerate(strengths):
                # A class without a vote is not impossible: one vote more is shared by all.
                shares = (votes[s] + 1 / classes) / (min(strength, np.count_nonzero(each.weights)) + 1)
                loss[s, f] = -np.log(shares[np.arange(len(held)), codes]).mean()
                accuracy[s, f] = (votes[s].argmax(axis=1) == codes).mean()
        return GridScores(strengths, loss.mean(axis=1), accuracy.mean(axis=1), np.ones(len(strengths), dtype=bool))

    def _score_held_out(self, trial: Trial, strength: float) -> Doubles:
        scores = np.full((len(trial.rows.X), len(trial.rows.classes)), np.nan)
        for each in trial.weightings:
            held, votes = _vote(trial.rows, each, np.array([strength]))
            scores[held] = votes[0] / votes[0].sum(axis=1, keepdims=True)
        return scores

    def _solve(self, rows: Rows, strength: float) -> tuple[Any, bool]:
        if len(np.unique(rows.counts)) > 1:
            raise UnsuitableRows("neighbours vote one by one, and cannot weigh unlike: leave out sample_weight")
        weighting = rows.weighting
        sphere = _sphere(weighting)
        count = min(int(strength), len(rows.X))
        # The float32 rows are kept: they are what the file is made of.
        classifier = KNeighborsClassifier(count, metric="cosine", algorithm="brute", n_jobs=None)
        classifier.fit(sphere.transform(rows.X).astype(np.float32), rows.classes[rows.codes])
        return make_pipeline(*(step for _, step in sphere.steps), classifier), True


def _sphere(weighting: Weighting) -> Any:
    """Return the pipeline that centres rows and puts them on the unit sphere."""
    centre = make_scaler(np.asarray(weighting.mean), np.ones(len(weighting.mean)))
    return make_pipeline(centre, Normalizer())


def _vote(rows: Rows, weighting: Weighting, numbers: Doubles) -> tuple[NDArray[np.intp], Doubles]:
    """Return the rows held out (m,), and for each number of neighbours the votes of each class, (s, m, c)."""
    assert weighting.held_out is not None
    held, trained = np.flatnonzero(weighting.held_out), np.flatnonzero(weighting.weights)
    sphere = _sphere(weighting)
    known = sphere.transform(rows.X[trained])
    votes = np.zeros((len(numbers), len(held), len(rows.classes)))
    most = int(min(numbers.max(), len(trained)))
    for start in range(0, len(held), _ROWS):
        part = slice(start, min(start + _ROWS, len(held)))
        likeness = sphere.transform(rows.X[held[part]]) @ known.T
        labels = rows.codes[trained][_top(likeness, most)]
        for s, number in enumerate(numbers):
            for column in labels[:, : int(number)].T:
                votes[s, np.arange(part.start, part.stop), column] += 1
    return held, votes


def _top(likeness: NDArray[np.floating[Any]], count: int) -> NDArray[np.intp]:
    """Return the positions of the greatest values of each row, falling."""
    some = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(likeness, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)
