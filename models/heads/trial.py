"""The rows that a head learns from and is judged on, checked, coded and weighted.

A trial has all rows in one matrix. Its weightings say which of them are trained on and which are
held out: one weighting where there are validation rows, one for each fold, or none where nothing
is judged.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, validate_data

from ..errors import UnsuitableRows
from ..solvers.streaming import Matrix, StreamedRows, join
from ..solvers.weighting import Weighting
from .estimator import Validation
from .scaling import floor_deviation, measure_features

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to train on."""

    X: Matrix
    """(n, d)."""
    codes: NDArray[np.intp]
    """(n,) position of each row's class; of one that does not count, some position."""
    classes: NDArray[Any]
    """(c,) sorted."""
    counts: Doubles
    """(n,) how often each row counts; 0 only of rows that are streamed, since those in memory are left out."""
    balanced: bool
    """Whether the classes weigh alike."""

    @property
    def weighting(self) -> Weighting:
        """All of them, none held out."""
        return _weigh(self, self.counts[None], None)[0]


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows, and which of them are held out in which weighting."""

    rows: Rows
    """All rows; those of validation last."""
    weightings: tuple[Weighting, ...]

    @property
    def judged(self) -> int:
        """How many rows are judged."""
        return sum(int(np.count_nonzero(each.held_out)) for each in self.weightings if each.held_out is not None)


def check_rows(head: Any, X: Any, y: Any, *, sample_weight: Any = None, balanced: bool = False, least: int = 2) -> Rows:
    """Return rows to train on; the estimator `head` learns how many features there are.

    Raises
    ------
    UnsuitableRows
        X is not a finite matrix, y does not fit it or has fewer than two classes, or weights are negative.
    """
    if isinstance(X, StreamedRows):
        _check_finite(X)
    try:
        if isinstance(X, StreamedRows):
            check_consistent_length(X, y)
            y, head.n_features_in_ = np.asarray(y), X.shape[1]
        else:
            X, y = validate_data(head, X, y, dtype=np.float32, order="C", ensure_min_samples=least)
        check_classification_targets(y)
        counts = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise UnsuitableRows(f"{first_line(error)}; expected finite features and one class per row") from error
    if not counts.all() and not isinstance(X, StreamedRows):
        X, y, counts = X[counts > 0], y[counts > 0], counts[counts > 0]
    classes = np.unique(y[counts > 0])
    if len(classes) < 2:
        raise UnsuitableRows(
            f"a classifier needs at least two classes, found {len(classes)} class: give rows of another one"
        )
    return Rows(X, _places(classes, y), classes, counts, balanced)


def _check_finite(X: StreamedRows) -> StreamedRows:
    if not X.is_finite():
        raise UnsuitableRows(
            "a feature is infinite or no number; expected finite features: check the store that they come from "
            "with demijohn cache verify"
        )
    return X


def _places(classes: NDArray[Any], y: NDArray[Any]) -> NDArray[np.intp]:
    """Return the positions of classes y, and some position of what is none."""
    places: NDArray[np.intp] = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    return places


def check_features(head: Any, X: Any) -> Floats:
    """Return features (n, d) to predict, as many of them as the head was trained on.

    Raises
    ------
    UnsuitableRows
        X is not a finite matrix of that width.
    """
    try:
        return np.asarray(validate_data(head, X, dtype=np.float32, order="C", reset=False))
    except ValueError as error:
        raise UnsuitableRows(f"{first_line(error)}; expected what the head was trained on") from error


def find_codes(classes: NDArray[Any], y: Any) -> NDArray[np.intp]:
    """Return the positions of classes y, shape (n,).

    Raises
    ------
    UnsuitableRows
        One of them was not trained on.
    """
    y = np.asarray(y)
    codes = _places(classes, y)
    unknown = classes[codes] != y
    if unknown.any():
        raise UnsuitableRows(
            f"validation rows have the class {y[unknown][0]}, which no training row has: expected some of "
            f"{', '.join(map(str, classes[:5]))}{', ...' if len(classes) > 5 else ''}; leave them out"
        )
    return codes


def hold_out(
    head: Any,
    rows: Rows,
    validation: Validation | None = None,
    folds: NDArray[np.integer[Any]] | None = None,
    judged: NDArray[np.bool_] | None = None,
) -> Trial:
    """Return a trial: with validation rows, or folds (n,), of which rows are `judged` (n,), or neither.

    Raises
    ------
    UnsuitableRows
        Validation rows do not fit, or a fold leaves no row of two classes to train on.
    """
    if validation is not None and folds is not None:
        raise UnsuitableRows("validation rows and folds were given, expected one of them: leave one out")
    if validation is not None and len(validation[0]):
        X: Matrix = validation[0]
        X = _check_finite(X) if isinstance(X, StreamedRows) else check_features(head, X)
        codes = find_codes(rows.classes, validation[1])
        whole = Rows(
            join(rows.X, X),
            np.concatenate([rows.codes, codes]),
            rows.classes,
            np.concatenate([rows.counts, np.ones(len(X))]),
            rows.balanced,
        )
        held = judging = (np.arange(len(whole.X)) >= len(rows.X))[None]
    elif folds is not None:
        whole, held = rows, np.unique(folds)[:, None] == np.asarray(folds)
        judging = held if judged is None else held & judged
        for apart, each in zip(held, judging, strict=True):
            if len(np.unique(rows.codes[~apart])) < 2 or not each.any():
                raise UnsuitableRows("a fold leaves fewer than two classes to train on: give fewer folds, or more rows")
    else:
        return Trial(rows, ())
    return Trial(whole, _weigh(whole, np.where(held, 0, whole.counts), np.where(judging, whole.counts, 0)))


def _weigh(rows: Rows, trained: Doubles, held_out: Doubles | None) -> tuple[Weighting, ...]:
    """Return weightings from how often each row counts in training and in judging, shapes (f, n)."""
    mean, deviation = measure_features(rows.X, trained)
    scale = floor_deviation(deviation)
    return tuple(
        Weighting(_level(rows, trained[f]), mean[f], scale[f], None if held_out is None else _level(rows, held_out[f]))
        for f in range(len(trained))
    )


def _level(rows: Rows, counts: Doubles) -> Doubles:
    """Return weights (n,): the counts, or such that every class weighs alike and the sum stays."""
    if not rows.balanced:
        return counts
    sizes = np.bincount(rows.codes, counts)
    there = sizes > 0
    factors = np.divide(counts.sum() / there.sum(), sizes, out=np.zeros_like(sizes), where=there)
    return np.asarray(counts * factors[rows.codes])


def first_line(error: Exception) -> str:
    """Return what an error of scikit-learn says, without its advice."""
    return str(error).strip().split("\n")[0].rstrip(".:")
