"""Linear and kernel heads from scikit-learn: logistic regression and support vector machines.

Features are standardised inside the head, with the training rows' mean and deviation. The strength
of the penalty, C, decides how good such a head is; without a fixed value it is chosen among a log
grid by the accuracy on the validation rows, which the head was not trained on (ties: lower log
loss where there are probabilities, then the stronger penalty).
"""

import copy
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from .estimator import Validation
from .scaling import fit_scaler


class _TunedHead(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn classifier behind a scaler, with C chosen on validation rows."""

    suffix = ".skops"
    c: float | None
    balanced: bool
    grid: tuple[float, ...]

    def fit(self, X: NDArray[np.float32], y: NDArray[Any], *, validation: Validation | None = None) -> Self:
        """Train on X of shape (n, d), float32, and y of shape (n,); choose C on `validation`.

        Without validation rows and without a fixed C, C is the middle of the grid, with a warning.
        """
        self.classes_ = np.unique(y)
        self.history_: list[dict[str, float]] = []
        self.warnings_: list[str] = []
        scaler = fit_scaler(X)
        scaled = scaler.transform(X)
        held_out = None if validation is None else (scaler.transform(validation[0]), validation[1])
        candidates = self._candidates(validation)
        best: tuple[tuple[float, float, float], Any] | None = None
        self.path_: list[dict[str, Any]] = []
        classifier = self._classifier()
        for c in candidates:
            # Warm starts go from the strong penalty to the weak one; the winner is kept as a copy.
            classifier.set_params(C=c)
            converged = _fit(classifier, scaled, y)
            point: dict[str, Any] = {"c": c, "converged": converged}
            rank = (0.0, 0.0, -c)
            if held_out is not None:
                accuracy, loss = self._judge(classifier, *held_out)
                point |= {"validation_accuracy": accuracy, "validation_loss": loss}
                rank = (accuracy, -loss, -c)
            self.path_.append(point)
            if best is None or rank > best[0]:
                best = (rank, copy.deepcopy(classifier))
        assert best is not None
        self.pipeline_ = make_pipeline(scaler, best[1])
        self.c_ = float(best[1].C)
        self._warn(candidates)
        return self

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class of each row, shape (n,)."""
        return np.asarray(self.pipeline_.predict(X))

    def save(self, path: Path) -> None:
        """Write scaler and classifier as a skops file, which loads without running code."""
        import skops.io

        skops.io.dump(self.pipeline_, path)

    @property
    def facts_(self) -> dict[str, Any]:
        """What training found: the chosen C and the whole path."""
        return {"c": self.c_, "path": self.path_}

    @abstractmethod
    def _classifier(self) -> Any:
        """Return the untrained classifier, which takes C."""

    @abstractmethod
    def _loss(self, classifier: Any, X: NDArray[np.float32], y: NDArray[Any]) -> NDArray[np.float64]:
        """Return the loss of each row, shape (n,), as far as it matters beside the accuracy."""

    def _judge(self, classifier: Any, X: NDArray[np.float32], y: NDArray[Any]) -> tuple[float, float]:
        """Return accuracy and mean loss, by class frequency or every class alike."""
        weights = compute_sample_weight("balanced" if self.balanced else None, y)
        accuracy = np.average(classifier.predict(X) == y, weights=weights)
        return float(accuracy), float(np.average(self._loss(classifier, X, y), weights=weights))

    def _candidates(self, validation: Validation | None) -> tuple[float, ...]:
        if self.c is not None:
            return (self.c,)
        if validation is None:
            middle = self.grid[len(self.grid) // 2]
            self.warnings_.append(f"no validation pictures to choose C with: C = {middle:g}; fix it with --c")
            return (middle,)
        return self.grid

    def _warn(self, candidates: tuple[float, ...]) -> None:
        chosen = next(point for point in self.path_ if point["c"] == self.c_)
        if not chosen["converged"]:
            self.warnings_.append(f"training did not converge at C = {self.c_:g}")
        if len(candidates) > 1 and self.c_ in (candidates[0], candidates[-1]):
            self.warnings_.append(f"the chosen C = {self.c_:g} lies on the edge of its grid")


class LogisticHead(_TunedHead):
    """Multinomial logistic regression with an L2 penalty."""

    grid = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)

    def __init__(self, *, c: float | None = None, balanced: bool = False, seed: int = 0) -> None:
        self.c = c
        self.balanced = balanced
        self.seed = seed

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities of shape (n, c), in the order of `classes_`."""
        return np.asarray(self.pipeline_.predict_proba(X))

    def _loss(self, classifier: Any, X: NDArray[np.float32], y: NDArray[Any]) -> NDArray[np.float64]:
        true = classifier.predict_proba(X)[np.arange(len(y)), np.searchsorted(classifier.classes_, y)]
        return np.asarray(-np.log(np.clip(true, 1e-15, None)))

    def _classifier(self) -> Any:
        return LogisticRegression(
            class_weight="balanced" if self.balanced else None,
            max_iter=1000,
            warm_start=True,
            random_state=self.seed,
        )


class SvmHead(_TunedHead):
    """Support vector machine: linear (squared hinge), or with an RBF kernel."""

    grid = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)

    def __init__(
        self, *, kernel: str = "linear", c: float | None = None, balanced: bool = False, seed: int = 0
    ) -> None:
        self.kernel = kernel
        self.c = c
        self.balanced = balanced
        self.seed = seed

    def decision_function(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return decision values, the scikit-learn way: (n, c), or (n,) for two classes; no probabilities."""
        return np.asarray(self.pipeline_.decision_function(X))

    def _candidates(self, validation: Validation | None) -> tuple[float, ...]:
        candidates = super()._candidates(validation)
        # An RBF machine works at larger C, since its kernel is bounded by one.
        return tuple(c * 1e3 for c in candidates) if self.kernel == "rbf" and self.c is None else candidates

    def _loss(self, classifier: Any, X: NDArray[np.float32], y: NDArray[Any]) -> NDArray[np.float64]:
        values = classifier.decision_function(X)
        values = values[:, None] if values.ndim == 1 else values
        positive = classifier.classes_[-1:] if values.shape[1] == 1 else classifier.classes_
        signs = np.where(y[:, None] == positive, 1.0, -1.0)
        return np.asarray((np.maximum(0.0, 1.0 - signs * values) ** 2).mean(axis=1))

    def _classifier(self) -> Any:
        weights = "balanced" if self.balanced else None
        if self.kernel == "rbf":
            return SVC(kernel="rbf", break_ties=True, class_weight=weights, random_state=self.seed)
        return LinearSVC(dual="auto", class_weight=weights, random_state=self.seed, max_iter=5000)


def _fit(classifier: Any, X: NDArray[np.float32], y: NDArray[Any]) -> bool:
    # The products are thin: several threads wait for each other longer than they work.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(X, y)
    return not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
