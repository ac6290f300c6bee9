"""What every head can do, whatever it is made of."""

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Validation = tuple[NDArray[np.float32], NDArray[Any]]
"""Features (n, d) and classes (n,) that a head chooses by and is not trained on."""


class Head(Protocol):
    """What every head can do; X is (n, d) float32, y is (n,)."""

    classes_: NDArray[Any]
    history_: list[dict[str, float]]
    warnings_: list[str]
    suffix: str

    @property
    def facts_(self) -> dict[str, Any]:
        """What training found, as plain JSON values."""

    def fit(self, X: NDArray[np.float32], y: NDArray[Any], *, validation: Validation | None = None) -> Self:
        """Train; `validation` rows choose settings or stop training, and are not trained on."""

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class of each row."""

    def save(self, path: Path) -> None:
        """Write what `load_head` reads."""
