"""Whether a head is right as often as it claims: expected calibration error and the reliability curve.

Bins of equal numbers, not of equal width: a trained head puts most pictures into the topmost of bins
of equal width, and the few in the others decide by luck (Nixon et al. 2019; Roelofs et al. 2022).
The error can only be too great: luck alone makes each bin's accuracy differ from its confidence. What
luck alone would give stands beside it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
LEAST = 10
"""Fewer pictures in a bin say little."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far confidence and accuracy are apart."""

    error: float
    """Mean over the pictures of |accuracy - mean confidence| of their bin (Guo et al. 2017), 0..1."""
    by_luck: float
    """What a head that is right exactly as often as it claims is expected to show on as many pictures."""
    curve: tuple[tuple[float, float, int], ...]
    """Per bin, in the order of confidence: mean confidence, accuracy, number of pictures."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, named as in a run's metrics."""
        return {
            "calibration_error": self.error,
            "calibration_error_by_luck": self.by_luck,
            "reliability": [list(point) for point in self.curve],
        }


def measure_calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibration:
    """Return the calibration of the predicted class.

    Parameters
    ----------
    confidence : ndarray of shape (n,), float64
        Probability of the predicted class; n is at least 1.
    right : ndarray of shape (n,), bool
        Whether the predicted class is the true one.
    """
    count = len(confidence)
    bins = max(1, min(BINS, count // LEAST))
    _, position, tied = np.unique(confidence, return_inverse=True, return_counts=True)
    # By middle rank, so that equal confidences share a bin and the order of the rows does not matter.
    middle = np.cumsum(tied) - tied / 2
    where = np.minimum((bins * middle / count).astype(np.intp), bins - 1)[position]
    sizes = np.bincount(where, minlength=bins)
    occurring = sizes > 0
    sizes = sizes[occurring]
    claimed, reached, noise = (
        np.bincount(where, values, minlength=bins)[occurring]
        for values in (confidence, right.astype(np.float64), np.clip(confidence * (1 - confidence), 0, None))
    )
    return Calibration(
        error=float(np.abs(reached - claimed).sum() / count),
        # The mean of |x| of a normal x with variance v is sqrt(2 v / pi).
        by_luck=float(np.sqrt(2 / np.pi * noise).sum() / count),
        curve=tuple(
            (float(mean), float(share), int(size))
            for mean, share, size in zip(claimed / sizes, reached / sizes, sizes, strict=True)
        ),
    )
