"""Every head, and the settings that make another machine of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from demijohn.models import HEADS
from numpy.typing import NDArray

Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]
Rows = dict[str, tuple[NDArray[np.float32], NDArray[Any]]]

QUICK = {"epochs": 30, "learning_rate": 0.01, "batch_size": 32}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "dense, no hidden layer": ("dense", {**QUICK, "hidden": ()}),
    "dense, two hidden layers": ("dense", {**QUICK, "hidden": (16, 8), "dropout": 0.2}),
    "dense, batch norm": ("dense", {**QUICK, "hidden": (16,), "batch_norm": True, "balanced": True}),
    "logistic": ("logistic", {}),
    "logistic, balanced": ("logistic", {"balanced": True}),
    "logistic, fixed C": ("logistic", {"c": 0.1}),
    "ridge": ("ridge", {}),
    "ridge, balanced": ("ridge", {"balanced": True}),
    "svm": ("svm", {}),
    "svm, balanced": ("svm", {"balanced": True}),
    "svm, rbf": ("svm", {"kernel": "rbf"}),
    "svm, rbf, balanced": ("svm", {"kernel": "rbf", "balanced": True}),
    "knn": ("knn", {}),
    "centroid": ("centroid", {}),
    "lda": ("lda", {}),
    "lda, balanced": ("lda", {"balanced": True}),
}
"""Every head with the settings that make another machine of it."""

# The cheapest of each head.
SMALL: dict[str, dict[str, Any]] = {
    "dense": {"hidden": (4,), "epochs": 2, "dropout": 0.0},
    "logistic": {"c": 0.1},
    "ridge": {"alpha": 10.0},
    "svm": {"c": 0.1},
    "knn": {"neighbours": 3},
    "centroid": {},
    "lda": {"shrinkage": 0.1},
}


def _row(case: str, classes: int) -> Any:
    marks = pytest.mark.slow if case.startswith("dense") else ()
    return pytest.param(case, classes, marks=marks, id=f"{case}, {classes} classes")


every_case = pytest.mark.parametrize(("case", "classes"), [_row(case, classes) for case in CASES for classes in (2, 5)])
every_head = pytest.mark.parametrize("name", HEADS)
# A network takes a second to train where the others take milliseconds.
every_head_dense_slow = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "dense" else ()) for name in HEADS]
)


def fit_small(name: str, X: NDArray[Any], y: NDArray[Any], **options: Any) -> Any:
    return HEADS[name].make(SMALL[name], seed=0).fit(X, y, **options)
