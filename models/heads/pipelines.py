"""Heads that are kept as a scikit-learn pipeline: its last step classifies, those before prepare features.

Only scikit-learn's own types are in the pipeline, so that skops saves and loads it without running code.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from .trial import Floats, check_features


class PipelineHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose fitted form is the scikit-learn pipeline `pipeline_`."""

    suffix: ClassVar[str] = ".skops"

    @property
    def streams(self) -> bool:
        """Whether it learns from rows that are streamed."""
        return False

    @property
    @abstractmethod
    def chosen_(self) -> dict[str, Any]:
        """The settings that were chosen."""

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class of each row, shape (n,)."""
        X = self._rows(X)
        return np.asarray(self.pipeline_.predict(X))

    def save(self, path: Path) -> None:
        """Write the pipeline as a skops file, which loads without running code."""
        import skops.io

        check_is_fitted(self)
        skops.io.dump(self.pipeline_, path)

    def _rows(self, X: Any) -> Floats:
        check_is_fitted(self)
        return check_features(self, X)


class ScoringHead(PipelineHead):
    """A head that gives decision values and no probabilities."""

    def decision_function(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return decision values, the scikit-learn way: (n, c), or (n,) for two classes; no probabilities."""
        X = self._rows(X)
        return np.asarray(self.pipeline_.decision_function(X), dtype=np.float64)


class ProbableHead(PipelineHead):
    """A head that gives probabilities."""

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities of shape (n, c), in the order of `classes_`."""
        X = self._rows(X)
        return np.asarray(self.pipeline_.predict_proba(X), dtype=np.float64)


def fill_linear(classifier: Any, classes: NDArray[Any], coefficients: NDArray[Any], intercepts: NDArray[Any]) -> Any:
    """Return a linear classifier of scikit-learn's, with what another solver found.

    Parameters
    ----------
    classifier : RidgeClassifier, LogisticRegression, LinearSVC or LinearDiscriminantAnalysis
        Not fitted; it is changed.
    classes : ndarray of shape (c,)
        Sorted.
    coefficients, intercepts : ndarray of shape (k, d) and (k,)
        k is c, or 1 for two classes, where it is the second against the first.
    """
    if hasattr(classifier, "alpha"):
        # RidgeClassifier takes its classes from there.
        classifier._label_binarizer = LabelBinarizer(pos_label=1, neg_label=-1).fit(classes)
    if not isinstance(getattr(type(classifier), "classes_", None), property):
        classifier.classes_ = classes
    classifier.coef_ = coefficients.astype(np.float64)
    classifier.intercept_ = intercepts.astype(np.float64)
    classifier.n_features_in_ = coefficients.shape[1]
    return classifier
