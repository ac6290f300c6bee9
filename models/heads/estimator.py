"""What every head can do, whatever it is made of."""

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..solvers.streaming import Matrix, pieces_of

Validation = tuple[Matrix, NDArray[Any]]
"""Features (n, d) and classes (n,) that a head chooses by and is not trained on."""


class Head(Protocol):
    """What every head can do; X is (n, d) float32, y is (n,).

    Where it `streams`, `fit` takes a `StreamedRows` as X, with validation rows that lie behind it in
    the same file.
    """

    classes_: NDArray[Any]
    history_: list[dict[str, float]]
    warnings_: list[str]
    suffix: str

    @property
    def streams(self) -> bool:
        """Whether it learns from rows that are streamed."""

    @property
    def facts_(self) -> dict[str, Any]:
        """What training found, as plain JSON values."""

    @property
    def chosen_(self) -> dict[str, Any]:
        """The settings that were chosen: with them, and without validation rows, a head is fitted anew on more rows."""

    def fit(
        self,
        X: Matrix,
        y: NDArray[Any],
        *,
        sample_weight: NDArray[np.floating[Any]] | None = None,
        validation: Validation | None = None,
    ) -> Self:
        """Train; `validation` rows choose settings or stop training, and are not trained on."""

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class of each row."""

    def save(self, path: Path) -> None:
        """Write what `load_head` reads."""


def scores_of(head: Any, X: NDArray[np.float32]) -> tuple[NDArray[np.float64], bool]:
    """Return scores of shape (n, c), and whether they are probabilities."""
    if hasattr(head, "predict_proba"):
        return np.asarray(head.predict_proba(X)), True
    values = np.asarray(head.decision_function(X))
    # For two classes scikit-learn gives one column, the second class against the first.
    return np.stack([-values, values], axis=1) if values.ndim == 1 else values, False


def score_rows(head: Any, X: Matrix, rows: slice | NDArray[np.intp] = slice(None)) -> NDArray[np.float64]:
    """Return scores of some rows of a matrix, all by default, shape (m, c); m is at least 1."""
    return np.concatenate([scores_of(head, some)[0] for _, some in pieces_of(X, rows)])
