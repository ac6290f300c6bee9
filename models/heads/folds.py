"""Which rows are held out together in cross-validation."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsuitableRows


def assign_folds(
    labels: NDArray[np.integer[Any]], groups: NDArray[np.integer[Any]], count: int, *, seed: int
) -> NDArray[np.intp]:
    """Return the fold of each row, shape (n,): groups stay together, classes are shared out evenly.

    Parameters
    ----------
    labels, groups : ndarray of shape (n,), int
        Class, and what a row belongs together with.
    count : int
        Folds wanted; fewer come out where they would be empty.
    seed : int
        Of the shuffling.

    Raises
    ------
    UnsuitableRows
        There are fewer groups than folds, or fewer rows in each class.
    """
    there = len(np.unique(groups))
    if there < count:
        raise UnsuitableRows(
            f"{count} folds were asked for, expected at most as many as there are groups of training and validation "
            f"pictures, {there}: give fewer --folds"
        )
    if (most := int(np.bincount(labels).max())) < count:
        raise UnsuitableRows(
            f"{count} folds were asked for, expected at most as many as the largest class has training and validation "
            f"pictures, {most}: give fewer --folds"
        )
    return deal_folds(labels, groups, count, seed=seed)


def deal_folds(
    labels: NDArray[np.integer[Any]], groups: NDArray[np.integer[Any]], count: int, *, seed: int
) -> NDArray[np.intp]:
    """Return the fold of each row, shape (n,), as `assign_folds` does; where groups are too few, each is a fold.

    One class at least must have as many rows as there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < count:
        return np.asarray(numbers, dtype=np.intp)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    fold = np.zeros(len(labels), dtype=np.intp)
    with warnings.catch_warnings():
        # A class with fewer pictures than folds is in some folds only.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            fold[held] = number
    return np.unique(fold, return_inverse=True)[1].astype(np.intp)
