"""Whether pictures of a class are ranked before the others: the area under the ROC curve, per class and mean."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """Areas under the ROC curves of the classes, each against the rest."""

    each: NDArray[np.float64]
    """(c,) area of each class; NaN for one that has no picture, or has them all."""
    influence: NDArray[np.float64]
    """(n,) what each picture adds to the mean of the areas; their sum is 0, the sum of squares its variance."""
    number: float
    """A share of so many pictures would be as sure as the mean of the areas, by a model; 0 where no class has one."""

    @property
    def mean(self) -> float | None:
        """Mean of the areas that are defined; None where none is."""
        return None if np.isnan(self.each).all() else float(np.nanmean(self.each))


def measure_areas(labels: NDArray[np.int32], scores: NDArray[np.float64]) -> Areas:
    """Return the areas under the ROC curves.

    The area is the share of pairs of one picture of the class and one of another that are ranked right;
    a tie counts half. A picture's part is the share of its own pairs (the structural components of
    DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44), so the variance needs no second look at pairs.

    Parameters
    ----------
    labels : ndarray of shape (n,), int32
    scores : ndarray of shape (n, c), float64
        Probabilities or decision values.
    """
    count, classes = scores.shape
    support = np.bincount(labels, minlength=classes)
    areas, influence = np.full(classes, np.nan), np.zeros(count)
    for label in np.flatnonzero((support > 0) & (support < count)):
        own = labels == label
        inside, outside = support[label], count - support[label]
        _, position, tied = np.unique(scores[:, label], return_inverse=True, return_counts=True)
        members = np.bincount(position, own, minlength=len(tied))
        others = tied - members
        before = (np.cumsum(others) - others / 2)[position] / outside
        behind = 1 - (np.cumsum(members) - members / 2)[position] / inside
        areas[label] = before[own].mean()
        influence += np.where(own, (before - areas[label]) / inside, (behind - areas[label]) / outside)
    judged = ~np.isnan(areas)
    if not judged.any():
        return Areas(areas, influence, 0.0)
    number = _by_model(float(areas[judged].mean()), support[judged].astype(np.float64), count)
    # The areas of two classes are one area seen from both sides, so there the second adds nothing.
    return Areas(areas, influence / judged.sum(), number / 2 if judged.sum() == 2 else number)


def _by_model(area: float, inside: NDArray[np.float64], count: int) -> float:
    """Return how many pictures a share needs to have the variance of Hanley and McNeil (1982, Radiology 143).

    Near an area of 1 hardly a pair is ranked wrong, and the observed variance is too small or none: 20
    pictures of a class do not become certain because they were lucky. The model knows their number.

    Parameters
    ----------
    area : float
        Mean of the areas.
    inside : ndarray of shape (k,), float64
        Pictures of each class.
    count : int
        Of all pictures.
    """
    outside = count - inside
    # The variance as Newcombe (2006, Statistics in Medicine 25) writes it, with equal parts for both sides.
    doubts = (1 - area) / (2 - area) + area / (1 + area)
    numbers = inside * outside / (1 + (count / 2 - 1) * doubts)
    return float(len(inside) ** 2 / (1 / numbers).sum())
