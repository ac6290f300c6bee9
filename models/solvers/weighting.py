"""How much rows count, and the standardisation that goes with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Weighting:
    """How much each row counts, and the standardisation that goes with it."""

    weights: NDArray[np.floating]
    """Shape (n,), not negative; 0 for rows that are not trained on."""
    mean: NDArray[np.floating]
    """Shape (d,)."""
    scale: NDArray[np.floating]
    """Shape (d,); a feature whose scale is 0 is left out."""
    held_out: NDArray[np.floating] | None = None
    """How much each row counts in judging, shape (n,); None where nothing is judged."""

    @property
    def inverse(self) -> NDArray[np.float64]:
        """1 / scale, shape (d,); 0 for a feature that is left out."""
        scale = np.asarray(self.scale, dtype=np.float64)
        return np.divide(1, scale, out=np.zeros_like(scale), where=np.isfinite(scale) & (scale > 0))

    def equals(self, other: "Weighting") -> bool:
        """Whether another one weighs and standardises the same, and holds out the same."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("weights", "mean", "scale", "held_out"))
        return all(np.array_equal(own, others) if own is not None else others is None for own, others in pairs)
