"""Pictures whose label is likely wrong: confident learning (Northcutt, Jiang and Chuang 2021).

"Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of Artificial Intelligence
Research 70, the method of the library cleanlab. It needs probabilities from classifiers that did
not see the picture; it is a dozen lines then, so the library is not needed for it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture whose label the others of its data set contradict."""

    position: int
    """Among the rows given."""
    suggested: int
    """The most probable class."""
    given_probability: float
    """Out-of-fold probability of the label that it has; the ranking, the lowest first."""
    suggested_probability: float
    confident: bool
    """Whether it counts as an error in confident learning: another class is as probable as it is, on average, for
    pictures with that label."""


def find_suspects(probabilities: NDArray[np.float64], labels: NDArray[np.int32]) -> list[Suspect]:
    """Return the pictures whose most probable class is not their label, the least probable label first.

    Parameters
    ----------
    probabilities : ndarray of shape (n, c), float64
        Out of fold; rows with NaN are left out.
    labels : ndarray of shape (n,), int32
        Classes, 0..c-1.
    """
    judged = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    if not len(judged):
        return []
    likely, given = probabilities[judged], labels[judged]
    own = likely[np.arange(len(judged)), given]
    # The threshold of a class is how probable it is, on average, for pictures that have its label.
    thresholds = np.array(
        [own[given == label].mean() if (given == label).any() else np.inf for label in range(likely.shape[1])]
    )
    eligible = np.where(likely >= thresholds, likely, -1.0)
    confident = (eligible.max(axis=1) >= 0) & (eligible.argmax(axis=1) != given)
    best = likely.argmax(axis=1)
    order = np.lexsort((judged, own))
    return [
        Suspect(int(judged[at]), int(best[at]), float(own[at]), float(likely[at, best[at]]), bool(confident[at]))
        for at in order
        if best[at] != given[at]
    ]
