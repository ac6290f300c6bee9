"""The heads: a record each, and an estimator made the scikit-learn way.

An estimator keeps the contract of `estimator.Head`, and has either `predict_proba` or
`decision_function`. Adding a head is one record here and a row in the tests' table.
"""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import BadWeights, UnknownHead, UnsuitableSetting
from .estimator import Head, scores_of


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """A kind of head."""

    name: str
    summary: str
    estimator: Callable[[], Callable[..., Head]]
    """Imports and returns the estimator's class; it takes its settings and `seed` by keyword."""

    @property
    def settings(self) -> dict[str, Any]:
        """Names of the settings it takes, and their defaults."""
        parameters = inspect.signature(self.estimator()).parameters.values()
        return {each.name: each.default for each in parameters if each.name != "seed"}

    @property
    def strength(self) -> str | None:
        """Name of the setting that is chosen among a grid; such a head takes folds."""
        return getattr(self.estimator(), "strength", None)

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings under which nothing is tuned: the usual strength stands where none is given."""
        if self.strength is None or settings[self.strength] is not None:
            return settings
        head: Any = self.make(settings, seed=0)
        return {**settings, self.strength: head.grid.usual}

    def streams(self, settings: dict[str, Any]) -> bool:
        """Return whether, with these settings, it learns from rows that are streamed."""
        return self.make(settings, seed=0).streams

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {"name": self.name, "summary": self.summary, "settings": self.settings}

    def make(self, settings: dict[str, Any], *, seed: int) -> Head:
        """Return an untrained head."""
        return self.estimator()(**settings, seed=seed)

    def complete(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return all settings: those given, and the defaults of the others.

        Raises
        ------
        UnsuitableSetting
            A setting belongs to another head.
        """
        for name in given:
            if name not in self.settings:
                option = f"--{name.replace('_', '-')}"
                others = [head.name for head in HEADS.values() if name in head.settings]
                raise UnsuitableSetting(
                    f"{option} is no setting of the head {self.name}: it belongs to {', '.join(others) or 'no head'}; "
                    f"{self.name} takes {', '.join('--' + known.replace('_', '-') for known in self.settings)}"
                )
        return {**self.settings, **given}


def find_head(name: str) -> HeadRecord:
    """Return the head of that name.

    Raises
    ------
    UnknownHead
        There is none; the message offers near matches.
    """
    if name in HEADS:
        return HEADS[name]
    near = difflib.get_close_matches(name.lower(), HEADS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(HEADS)}."
    raise UnknownHead(f"no head is called {name!r}: {hint} See: demijohn heads")


def load_head(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Return a saved head as a function from features (n, d) to scores (n, c); see `open_head`."""
    return load_scorer(path)[0]


def load_scorer(path: Path) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.float64]], bool]:
    """Return a saved head as a function from features (n, d) to scores (n, c), and whether they are probabilities."""
    head = open_head(path)
    if path.suffix == ".keras":
        from .dense import probabilities

        return lambda X: probabilities(head, X), True
    return lambda X: scores_of(head, X)[0], hasattr(head, "predict_proba")


def open_head(path: Path) -> Any:
    """Return what a saved head consists of: a scikit-learn pipeline, or a Keras network to logits.

    No code in the file is run: skops admits scikit-learn's own types only, Keras loads in safe mode.

    Raises
    ------
    BadWeights
        The file is damaged, or asks for something that a head does not need.
    """
    try:
        if path.suffix == ".keras":
            from ..backend import import_keras

            return import_keras().saving.load_model(path, safe_mode=True)
        import skops.io

        return skops.io.load(path, trusted=[])
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, BadZipFile) as error:
        raise BadWeights(f"{path} cannot be loaded as a head: {error}; train it again with --force") from error


def _estimator(module: str, name: str) -> Callable[[], Callable[..., Head]]:
    """Return the importer of an estimator's class; Keras and scikit-learn are imported when it is called."""
    return lambda: getattr(import_module(f".{module}", __package__), name)


_RECORDS = (
    HeadRecord(
        "dense",
        "Keras Dense layers with Dropout and BatchNormalization between, early stopping",
        _estimator("dense", "DenseHead"),
    ),
    HeadRecord("logistic", "multinomial logistic regression, L2, C chosen", _estimator("linear", "LogisticHead")),
    HeadRecord("ridge", "least squares, L2, alpha chosen; the fastest", _estimator("linear", "RidgeHead")),
    HeadRecord("svm", "support vector machine, linear or RBF, C chosen", _estimator("linear", "SvmHead")),
    HeadRecord("knn", "nearest neighbours by cosine, their number chosen", _estimator("neighbours", "NeighboursHead")),
    HeadRecord("centroid", "nearest class mean by direction", _estimator("centroid", "CentroidHead")),
    HeadRecord("lda", "linear discriminant analysis, shrinkage chosen", _estimator("linear", "DiscriminantHead")),
)

HEADS: dict[str, HeadRecord] = {record.name: record for record in _RECORDS}
