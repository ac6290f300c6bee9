"""Probes: what features, or mere facts of files, say about the classes of pictures they were not fitted on.

Every probability here is out of fold: the pictures are cut into folds, and each is judged by a
classifier that saw neither it nor any picture of its group. Rows whose class is not among the
training rows of their fold cannot be judged and get NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from .linear import LogisticHead

FOLDS = 5
STRENGTH = 4.0
"""C of the logistic probe times the number of features, since a standardised row has about that squared length.

Chosen by how well planted wrong labels were ranked; docs/audit.md has the figures.
"""
TREES = 40


def probabilities_from_features(
    X: NDArray[np.float32], labels: NDArray[np.int32], folds: NDArray[np.intp], *, seed: int
) -> NDArray[np.float64]:
    """Return out-of-fold probabilities of a logistic head, shape (n, c); NaN in rows that cannot be judged.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Features.
    labels : ndarray of shape (n,), int32
        Classes, 0..c-1.
    folds : ndarray of shape (n,), intp
        From `deal_folds`.
    seed : int
        Of the solver.
    """
    return _out_of_fold(lambda: LogisticHead(c=STRENGTH / X.shape[1], seed=seed), X, labels, folds)


def probabilities_from_facts(
    facts: NDArray[np.float64], labels: NDArray[np.int32], folds: NDArray[np.intp], *, seed: int
) -> NDArray[np.float64]:
    """Return out-of-fold probabilities of a random forest, shape (n, c); NaN in rows that cannot be judged.

    Trees take facts of any scale, in any relation to the class, and such as are not known. Classes
    weigh alike, so that a rare one is not given up.

    Parameters
    ----------
    facts : ndarray of shape (n, f), float64
        Numbers about the files; NaN where one is not known.
    labels, folds, seed
        See `probabilities_from_features`.
    """
    return _out_of_fold(lambda: _forest(seed), facts, labels, folds)


def probabilities_by_facts(
    facts: NDArray[np.float64], labels: NDArray[np.int32], others: NDArray[np.float64], *, seed: int
) -> NDArray[np.float64]:
    """Return what a forest on facts of some pictures says of others, shape (m, c); rows sum to 1.

    Parameters
    ----------
    facts, others : ndarray of shape (n, f) and (m, f), float64
        See `probabilities_from_facts`; n and m are at least 1.
    labels : ndarray of shape (n,), int32
        Classes, 0..c-1, each at least once. Each counts with its frequency.
    seed : int
        Of the trees.
    """
    forest = _forest(seed).fit(facts, labels)
    # The forest weighs classes alike; times their frequency, it says what is right most often.
    weighted = forest.predict_proba(others) * (np.bincount(labels) / len(labels))
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True))


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed)


def _out_of_fold(
    make: Callable[[], Any], X: NDArray[Any], labels: NDArray[np.int32], folds: NDArray[np.intp]
) -> NDArray[np.float64]:
    probabilities = np.full((len(labels), int(labels.max(initial=0)) + 1), np.nan)
    for fold in np.unique(folds):
        held_out = folds == fold
        known = np.unique(labels[~held_out])
        judged = np.flatnonzero(held_out & np.isin(labels, known))
        if len(known) < 2 or not len(judged):
            continue
        judge = make().fit(X[~held_out], labels[~held_out])
        probabilities[judged] = 0.0
        probabilities[np.ix_(judged, judge.classes_)] = judge.predict_proba(X[judged])
    return probabilities
