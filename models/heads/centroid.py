"""The nearest class mean: rows are centred and put on the unit sphere, and a class is the mean of its rows there.

Nothing is chosen and nothing is iterated, so with few pictures per class it is hard to beat
(SimpleShot: Wang et al. 2019, arXiv:1911.04623). With m the mean of a class and z a row,
    |z - m|^2 = |z|^2 - 2 (z.m - |m|^2 / 2)
so the nearest mean is the greatest of linear functions. scikit-learn's NearestCentroid would predict
the same, but its decision values belong to another model; so the functions are kept in a RidgeClassifier.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from ..solvers.streaming import Matrix, pieces_of
from .estimator import Validation
from .pipelines import ScoringHead, fill_linear
from .scaling import make_scaler
from .trial import check_rows


class CentroidHead(ScoringHead):
    """The nearest class mean on the unit sphere."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self,
        X: Matrix,
        y: NDArray[Any],
        *,
        sample_weight: NDArray[np.floating[Any]] | None = None,
        validation: Validation | None = None,  # noqa: ARG002
    ) -> Self:
        """Train on X of shape (n, d), float32, and y of shape (n,); there is nothing that `validation` could choose."""
        self.history_: list[dict[str, float]] = []
        self.warnings_: list[str] = []
        rows = check_rows(self, X, y, sample_weight=sample_weight)
        self.classes_ = rows.classes
        mean = np.asarray(sum(rows.counts[where] @ some for where, some in pieces_of(rows.X)) / rows.counts.sum())
        steps = make_scaler(mean, np.ones(len(mean))), Normalizer()
        sphere = make_pipeline(*steps)
        total = np.zeros((len(rows.classes), len(mean)))
        for where, some in pieces_of(rows.X):
            np.add.at(total, rows.codes[where], sphere.transform(some) * rows.counts[where, None])
        means = total / np.bincount(rows.codes, rows.counts)[:, None]
        levels = -0.5 * np.square(means).sum(axis=1)
        if len(means) == 2:
            means, levels = means[1:] - means[:1], levels[1:] - levels[:1]
        self.pipeline_ = make_pipeline(*steps, fill_linear(RidgeClassifier(), rows.classes, means, levels))
        return self

    @property
    def streams(self) -> bool:
        """Whether it learns from rows that are streamed."""
        return True

    @property
    def chosen_(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    @property
    def facts_(self) -> dict[str, Any]:
        """Nothing is found but the means."""
        return {}
