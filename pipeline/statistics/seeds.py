"""The luck of training and the luck of the test pictures, told apart by training with several seeds.

Runs and pictures cross: each run judges each picture. A two-way analysis of variance separates what
changes from run to run, from picture to picture, and from both together (Searle, Casella and
McCulloch 1992, Variance Components; why both count: Bouthillier et al. 2021).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..units import format_points
from .evidence import Sampling, normal_quantile, student_quantile
from .intervals import Interval, share


@dataclass(frozen=True, slots=True)
class Seeds:
    """The accuracy of settings that were trained with several seeds."""

    runs: int
    images: int
    mean: float
    """Accuracy, 0..1."""
    interval: Interval
    """95 %, of the accuracy over all seeds and all such pictures."""
    between_seeds: float | None
    """Standard deviation of the accuracy from seed to seed, were the pictures endless; None with one seed."""
    test_sample: float
    """Standard deviation of one run's accuracy from one such test split to another."""

    @property
    def sentence(self) -> str:
        """The same in words."""
        low, high = (f"{100 * end:.1f}" for end in self.interval)
        start = f"{self.mean:.1%} [{low}, {high}]"
        if self.between_seeds is None:
            return f"{start} with one seed: how much of it is luck of training is not known"
        return (
            f"{start} over {self.runs} seeds; another seed changes it by {format_points(self.between_seeds)} points, "
            f"other test pictures by {format_points(self.test_sample)} (one standard deviation each)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class SeedDifference:
    """The accuracy of some settings minus that of others, each trained with several seeds."""

    difference: float
    interval: Interval
    """95 %; it allows for the seeds and for the pictures."""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval[0] > 0 or self.interval[1] < 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval), "shown": self.shown}


@dataclass(frozen=True, slots=True)
class _Squares:
    """Mean squares of s runs by g pictures or groups."""

    runs: int
    units: int
    of_runs: float
    of_units: float
    rest: float

    @property
    def seeds(self) -> float:
        """Variance of the mean that the choice of seeds brings, at least 0."""
        return max(0.0, self.of_runs - self.rest) / (self.runs * self.units)

    @property
    def pictures(self) -> float:
        """Variance of the mean that the choice of pictures brings."""
        return self.of_units / (self.runs * self.units)


def separate_seeds(right: NDArray[np.bool_], *, groups: NDArray[np.int64] | None = None) -> Seeds:
    """Return the accuracy of settings, with the luck of training and of the test pictures told apart.

    Parameters
    ----------
    right : ndarray of shape (s, n), bool
        Whether each run, of one seed each, is right on each test picture; n is at least 2.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number belong together.
    """
    runs, count = right.shape
    sampling = Sampling.of(count, groups)
    squares = _analyse(right, sampling)
    mean = float(right.mean())
    variance = squares.pictures + squares.seeds
    number = count / sampling.effect(np.zeros(count))
    if variance > 0:
        parts = ((squares.pictures, squares.units - 1), (squares.seeds, runs - 1))
        number = mean * (1 - mean) / variance * normal_quantile() ** 2 / _student(parts) ** 2
    one_run = (squares.of_units - squares.rest) / runs + squares.rest
    return Seeds(
        runs=runs,
        images=count,
        mean=mean,
        interval=share(mean, number),
        between_seeds=float(np.sqrt(squares.seeds * runs)) if runs > 1 else None,
        test_sample=float(np.sqrt(max(one_run, 0.0) / squares.units)),
    )


def compare_seeds(
    one: NDArray[np.bool_], other: NDArray[np.bool_], *, groups: NDArray[np.int64] | None = None
) -> SeedDifference:
    """Return the difference of two settings, each trained with several seeds, on the same pictures.

    Comparing two runs says which of the two is better; this says which settings are.

    Parameters
    ----------
    one, other : ndarrays of shape (s, n) and (t, n), bool
        Whether each run is right on each picture; s and t are at least 2.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number belong together.

    Raises
    ------
    ValueError
        Settings have one seed only, which tells nothing about luck of training.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"expected at least 2 seeds of both settings, received {len(one)} and {len(other)}")
    sampling = Sampling.of(one.shape[1], groups)
    paired = one.mean(axis=0) - other.mean(axis=0)
    pictures = _analyse(paired[None], sampling).pictures
    parts = [(pictures, sampling.units - 1)]
    parts += [(_analyse(each, sampling).seeds, len(each) - 1) for each in (one, other)]
    difference = float(paired.mean())
    reach = _student(parts) * float(np.sqrt(sum(variance for variance, _ in parts)))
    return SeedDifference(difference, (difference - reach, difference + reach))


def _analyse(right: NDArray[Any], sampling: Sampling) -> _Squares:
    values = right.astype(np.float64)
    units = sampling.units
    # Each group counts as one picture that is as far from the mean as its pictures are together.
    table = np.stack([sampling.gather(row - values.mean()) for row in values]) * units / sampling.count  # (s, g)
    runs = len(table)
    by_run, by_unit = table.mean(axis=1), table.mean(axis=0)
    middle = table.mean()
    rest = table - by_run[:, None] - by_unit + middle
    return _Squares(
        runs=runs,
        units=units,
        of_runs=units * float(((by_run - middle) ** 2).sum()) / max(runs - 1, 1),
        of_units=runs * float(((by_unit - middle) ** 2).sum()) / max(units - 1, 1),
        rest=float((rest**2).sum()) / max((runs - 1) * (units - 1), 1),
    )


def _student(parts: Any) -> float:
    """Return Student's quantile for a sum of variances, each with its degrees of freedom (Satterthwaite 1946)."""
    total = sum(variance for variance, _ in parts)
    doubt = sum(variance**2 / max(freedom, 1) for variance, freedom in parts)
    return student_quantile(total**2 / doubt) if doubt > 0 else normal_quantile()
