"""From which probability on a prediction is taken: what is below is left to a person.

A threshold is found on validation pictures, by what it leaves out and how often the rest is right.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidRequest
from .intervals import Interval, share


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least probability that is taken, and what that meant on validation pictures."""

    probability: float
    """0..1; 0 takes everything."""
    images: int
    """Validation pictures that it was tried on."""
    accepted: int
    """Of them, those that it takes."""
    right: int
    """Of these, those whose predicted class is the true one."""

    @property
    def coverage(self) -> float | None:
        """Share of the pictures that it takes; None where there is none."""
        return self.accepted / self.images if self.images else None

    @property
    def precision(self) -> float | None:
        """Share of those taken that are right; None where none is taken."""
        return self.right / self.accepted if self.accepted else None

    @property
    def precision_interval(self) -> Interval | None:
        """Of the precision, 95 %; None where none is taken."""
        precision = self.precision
        return None if precision is None else share(precision, self.accepted)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        interval = self.precision_interval
        return {
            "probability": self.probability,
            "validation_images": self.images,
            "validation_coverage": self.coverage,
            "validation_precision": self.precision,
            "validation_precision_interval": None if interval is None else list(interval),
        }

    def __str__(self) -> str:
        """Return it in a sentence."""
        told = f"predictions below a probability of {self.probability:.4g} are rejected"
        if not self.probability:
            told = "no prediction is rejected"
        if self.coverage is None:
            return f"{told}; there are no validation pictures to say what that means"
        if self.precision is None or self.precision_interval is None:
            return f"{told}: on validation that is all of {self.images:,} pictures"
        low, high = self.precision_interval
        return (
            f"{told}: on validation {self.accepted:,} of {self.images:,} pictures are kept ({self.coverage:.1%}), and "
            f"{self.precision:.1%} of them are right [{100 * low:.1f}, {100 * high:.1f}]"
        )


def judge_threshold(probability: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Threshold:
    """Return a threshold with what it means on validation pictures; see `find_threshold` for the arrays."""
    taken = confidence >= probability
    return Threshold(probability, len(right), int(taken.sum()), int((taken & right).sum()))


def find_threshold(precision: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Threshold:
    """Return the least threshold above which validation predictions are right often enough.

    It lies half way between the least probability that is taken and the next one below, which is not; where
    everything may be taken it is 0.

    Parameters
    ----------
    precision : float
        Share of those taken that is to be right, 0..1.
    confidence : ndarray of shape (n,), float64
        Probability of the predicted class of each validation picture.
    right : ndarray of shape (n,), bool
        Whether that class is the true one.

    Raises
    ------
    InvalidRequest
        There is no validation picture, or no threshold is high enough.
    """
    if not len(right):
        raise InvalidRequest(
            f"a threshold for --precision {precision:g} is found on validation pictures, and the run has none: "
            "give the threshold itself with --reject-below"
        )
    values, position = np.unique(confidence, return_inverse=True)
    # Taken from the most confident down to each value.
    taken = np.bincount(position)[::-1].cumsum()[::-1]
    hits = np.bincount(position, right)[::-1].cumsum()[::-1]
    # A share such as 0.9 is no exact number: of 10 pictures, 9 are enough.
    enough = np.flatnonzero(hits >= precision * taken - 1e-9)
    if not len(enough):
        best = int((hits / taken).argmax())
        raise InvalidRequest(
            f"no threshold gives a precision of {precision:g} on the {len(right):,} validation pictures: the best is "
            f"{hits[best] / taken[best]:.4g}, for {int(taken[best]):,} pictures at a probability of {values[best]:.4g}"
            "; ask for less, or choose a better run"
        )
    first = int(enough[0])
    threshold = float((values[first - 1] + values[first]) / 2) if first else 0.0
    return judge_threshold(threshold, confidence, right)
