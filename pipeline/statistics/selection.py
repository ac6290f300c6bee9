"""What choosing costs: the best of many runs owes part of its validation accuracy to luck."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..units import format_points
from .evidence import Sampling
from .intervals import Interval, independent_difference

DRAWS = 1000
_BLOCK = 4_000_000
"""So many numbers of a draw are held at a time."""


@dataclass(frozen=True, slots=True)
class Optimism:
    """How much better the chosen run looked where it was chosen than where it was not."""

    run: str
    validation: float
    """Accuracy, 0..1."""
    test: float
    difference: float
    """Validation minus test."""
    interval: Interval
    """95 %."""
    sentence: str | None
    """None where the difference may be luck of the draw."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


@dataclass(frozen=True, slots=True)
class ExpectedOptimism:
    """How much the best of several runs is expected to fall short of its validation accuracy."""

    runs: int
    images: int
    chosen: int
    """Position of the run with the best validation accuracy, the first of equals."""
    validation: float
    """Its accuracy, 0..1."""
    honest: float
    """The accuracy that is to be expected of a run so chosen, on pictures that did not choose it."""

    @property
    def optimism(self) -> float:
        """Validation accuracy minus the honest one."""
        return self.validation - self.honest

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"the best of {self.runs} runs has {self.validation:.1%} on the {self.images} pictures that chose it; "
            f"about {format_points(max(self.optimism, 0.0))} points of that are luck of choosing"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "optimism": self.optimism, "sentence": self.sentence}


def measure_optimism(
    validation: NDArray[np.bool_],
    test: NDArray[np.bool_],
    *,
    run: str,
    validation_groups: NDArray[np.int64] | None = None,
    test_groups: NDArray[np.int64] | None = None,
) -> Optimism:
    """Return the validation accuracy minus the test accuracy of the run that validation chose.

    Parameters
    ----------
    validation, test : ndarrays of shape (n,) and (m,), bool
        Whether the run is right; of different pictures, at least one each.
    run : str
        Its name.
    validation_groups, test_groups : ndarrays of shape (n,) and (m,), int64, optional
        Pictures with one number belong together.
    """
    shares, numbers = [], []
    for right, groups in ((validation, validation_groups), (test, test_groups)):
        sampling = Sampling.of(len(right), groups)
        shares.append(float(right.mean()))
        numbers.append(len(right) / sampling.effect(sampling.residuals(right.astype(np.float64))))
    difference = shares[0] - shares[1]
    low, high = interval = independent_difference(shares[0], numbers[0], shares[1], numbers[1])
    sentence = None
    if low > 0:
        sentence = (
            f"{run} has {shares[0]:.1%} on validation, which chose it, and {shares[1]:.1%} on test: "
            f"{format_points(difference)} points less [{format_points(low)}, {format_points(high)}]; "
            "the test figure is the one to expect"
        )
    return Optimism(run, shares[0], shares[1], difference, interval, sentence)


def expect_optimism(
    right: NDArray[np.bool_], *, groups: NDArray[np.int64] | None = None, draws: int = DRAWS, seed: int = 0
) -> ExpectedOptimism:
    """Return what choosing the best of several runs by validation is expected to cost.

    The pictures are drawn again with replacement; in each draw the best run is chosen, and judged on the
    pictures that were not drawn. The mean of those is the honest accuracy (bootstrap bias corrected
    cross-validation, Tsamardinos, Greasidou and Borboudakis 2018, Machine Learning 107). Unlike the
    difference between a draw and what it left out, which is about a third too great, it was right in
    simulation.

    Parameters
    ----------
    right : ndarray of shape (k, n), bool
        Whether each run is right on each validation picture; k is at least 1, n at least 2.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number are drawn together.
    draws, seed : int
        Of the bootstrap.
    """
    runs, count = right.shape
    sampling = Sampling.of(count, groups)
    units = sampling.units
    sizes = np.bincount(sampling.groups) if sampling.groups is not None else np.ones(units, dtype=np.int64)
    sums = np.stack([sampling.gather(row.astype(np.float64)) for row in right], axis=1)  # (units, k)
    accuracy = right.mean(axis=1)
    chosen = int(accuracy.argmax())
    random = np.random.default_rng(seed)
    found = []
    step = max(1, _BLOCK // units)
    for start in range(0, draws, step):
        taken = random.multinomial(units, np.full(units, 1 / units), size=min(step, draws - start)).astype(np.float64)
        best = ((taken @ sums) / (taken @ sizes)[:, None]).argmax(axis=1)
        left = (taken == 0).astype(np.float64)
        judged = left @ sizes
        outside = np.take_along_axis(left @ sums, best[:, None], axis=1)[:, 0]
        found.append(outside[judged > 0] / judged[judged > 0])
    outcomes = np.concatenate(found)
    honest = float(outcomes.mean()) if len(outcomes) else float(accuracy[chosen])
    return ExpectedOptimism(runs, count, chosen, float(accuracy[chosen]), honest)
