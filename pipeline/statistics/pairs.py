"""Two runs on the pictures that both judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidRequest
from .evidence import CONFIDENCE, Sampling
from .intervals import Interval, paired_difference


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a run has right, picture by picture.

    Raises
    ------
    InvalidRequest
        A picture was judged twice.
    """

    run: str
    keys: NDArray[np.bytes_]
    """(n,) S32, each once."""
    right: NDArray[np.bool_]
    """(n,) whether the predicted class is the true one."""
    groups: NDArray[np.int64] | None = None
    """(n,) pictures with one number belong together, the same in all runs; None where none do."""
    settings: str | None = None
    """Everything but the seed, in any words: runs that are alike in it differ by luck. None where unknown."""

    def __post_init__(self) -> None:
        """Refuse a picture that was judged twice, which would count twice."""
        if len(np.unique(self.keys)) < len(self.keys):
            raise InvalidRequest(f"{self.run} judged a picture twice: expected each key once; train it again")


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What two runs have right of the same pictures."""

    one: NDArray[np.bool_]
    """(n,)"""
    other: NDArray[np.bool_]
    """(n,)"""
    groups: NDArray[np.int64] | None
    """(n,) or None."""

    @property
    def difference(self) -> float:
        """Accuracy of one minus that of the other."""
        return (int(self.one.sum()) - int(self.other.sum())) / len(self.one)

    def interval(self, *, confidence: float = CONFIDENCE) -> Interval:
        """Return the interval of the difference."""
        sampling = Sampling.of(len(self.one), self.groups)
        differences = self.one.astype(np.float64) - self.other
        effect = sampling.effect(sampling.residuals(differences), confidence=confidence)
        gained, lost = (differences > 0).sum() / effect, (differences < 0).sum() / effect
        return paired_difference(float(gained), float(lost), len(self.one) / effect, confidence=confidence)


def pair_runs(one: Judged, other: Judged) -> Pair:
    """Return what both have right of the pictures that both judged.

    Raises
    ------
    InvalidRequest
        They have no picture in common.
    """
    if np.array_equal(one.keys, other.keys) and len(one.keys):
        return Pair(one.right, other.right, other.groups if one.groups is None else one.groups)
    common, left, right = np.intersect1d(one.keys, other.keys, assume_unique=True, return_indices=True)
    if not len(common):
        raise InvalidRequest(
            f"{one.run} and {other.run} have no picture in common: expected runs on the same pictures, found "
            f"{len(one.keys)} and {len(other.keys)} different ones; train both on the same data set"
        )
    groups = one.groups[left] if one.groups is not None else None
    if groups is None and other.groups is not None:
        groups = other.groups[right]
    return Pair(one.right[left], other.right[right], groups)
