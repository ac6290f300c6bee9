"""How much independent evidence some pictures are.

Pictures of one group (twins, a patient) are not independent. An interval is stretched by the design
effect: the variance between groups over the variance that independent pictures would have (Kish
1965), with Student's quantile for few groups.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
COPIES = 0.5
"""How many groups' worth of evidence stands for the worst case, that the pictures of a group are copies."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """How pictures came into a split: what belongs together, and what was fixed beforehand."""

    count: int
    """n, the number of pictures."""
    groups: NDArray[np.intp] | None = None
    """(n,) group of each picture, 0..g-1; None where each is one of its own."""
    strata: NDArray[np.int32] | None = None
    """(n,) true class of each picture where the classes' shares were fixed; None where they fell as they did."""

    @classmethod
    def of(
        cls, count: int, groups: NDArray[np.integer[Any]] | None = None, strata: NDArray[np.int32] | None = None
    ) -> "Sampling":
        """Return the sampling of `count` pictures; groups of shape (n,) may be any integers."""
        if groups is None:
            return cls(count, None, strata)
        kept, position = np.unique(groups, return_inverse=True)
        return cls(count, None if len(kept) == count else position, strata)

    @property
    def units(self) -> int:
        """How many are independent: groups, else pictures."""
        return self.count if self.groups is None else int(self.groups.max()) + 1

    def residuals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,) minus their mean, or minus the mean of their class where that was fixed."""
        if self.strata is None:
            return np.asarray(values - values.mean())
        means = np.bincount(self.strata, values) / np.maximum(np.bincount(self.strata), 1)
        return np.asarray(values - means[self.strata])

    def gather(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of each unit, shape (g,), from residuals of shape (n,)."""
        return residuals if self.groups is None else np.bincount(self.groups, residuals).astype(np.float64)

    def effect(self, residuals: NDArray[np.float64], *, confidence: float = CONFIDENCE) -> float:
        """Return the design effect, at least 1: by how much groups multiply the variance.

        Parameters
        ----------
        residuals : ndarray of shape (n,), float64
            What each picture adds to the estimate. Where all are 0, the pictures of a group are taken
            for copies of one another, since nothing shows that they are not.
        confidence : float
            Of the interval that is to be stretched; with few groups Student's quantile is greater.
        """
        if self.groups is None:
            return 1.0
        if self.units < 2:
            return float(self.count)
        sums = self.gather(residuals) ** 2
        copies = float((np.bincount(self.groups) ** 2).sum()) / self.count
        independent = float((residuals**2).sum()) * self.count / (self.count - 1)
        ratio = told = 0.0
        if independent > 0 and sums.sum() > 0:
            ratio = float(sums.sum()) * self.units / (self.units - 1) / independent
            told = float(sums.sum()) ** 2 / float((sums**2).sum())
        ratio = (told * max(1.0, ratio) + COPIES * copies) / (told + COPIES)
        student = [student_quantile(each - 1, confidence) for each in (self.units, self.count)]
        return max(1.0, ratio) * (student[0] / student[1]) ** 2


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """Return how many standard deviations to either side hold this share of a normal distribution: 1.96 for 95 %."""
    # Imported here, since loading it takes longer than all intervals of a run.
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2))


def student_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the same of Student's distribution, where the deviation itself comes from few numbers."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))
