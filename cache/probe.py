"""The probe of a feature set: what two fixed pictures became, when its first row was made.

Versions of libraries stand in no recipe: most of their changes change nothing, and a new key would
throw hours away. What they do change shows in the probe, which is made again before rows are added.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-4
"""Of the greatest absolute value: far above the noise of another processor, far below another resize."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The features of the probe pictures, by their file names; each of shape (d,), float32."""

    vectors: dict[str, NDArray[np.float32]]

    def to_json(self) -> dict[str, Any]:
        """Return the vectors as they stand in recipe.json; every float32 survives exactly."""
        return {name: [float(value) for value in vector] for name, vector in self.vectors.items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Probe":
        """Return the probe that `to_json` wrote."""
        return cls({name: np.array(vector, dtype=np.float32) for name, vector in value.items()})

    @property
    def width(self) -> int:
        """Features per row; 0 without any vector."""
        return next((len(vector) for vector in self.vectors.values()), 0)

    def difference(self, other: "Probe") -> float:
        """Return the greatest difference, as a share of the greatest absolute value of this probe.

        It is infinite where the two are not of the same pictures and width.

        >>> one = Probe({"a": np.array([0.0, 2.0], np.float32)})
        >>> one.difference(Probe({"a": np.array([0.5, 2.0], np.float32)}))
        0.25
        """
        shapes = {name: vector.shape for name, vector in self.vectors.items()}
        if shapes != {name: vector.shape for name, vector in other.vectors.items()}:
            return float("inf")
        greatest = max(float(np.abs(vector).max(initial=0.0)) for vector in self.vectors.values())
        apart = max(
            float(np.abs(vector - other.vectors[name]).max(initial=0.0)) for name, vector in self.vectors.items()
        )
        return apart / greatest if greatest else (0.0 if apart == 0 else float("inf"))
