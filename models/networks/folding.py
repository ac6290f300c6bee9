"""A saved head as Keras layers on features, with standardisation folded into the first product.

What the layers give are logits: their softmax is what the head says where it gives probabilities,
and they are its decision values where it gives those. All their names begin with `classifier_`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..backend import import_keras
from ..errors import UnsuitableSetting
from ..heads.heads import load_scorer, open_head

Doubles = NDArray[np.float64]

PREFIX = "classifier_"
_LEAST_SHARE = 1e-7
"""Of votes: the logarithm of none at all is taken of this."""


def attach_head(features: Any, path: Path) -> Any:
    """Return the logits (n, c) that a saved head gives, as a Keras tensor.

    Parameters
    ----------
    features : Keras tensor of shape (n, d), float32
    path : Path
        A file that a head has saved: scikit-learn's as skops, or a `.keras` file.

    Raises
    ------
    BadWeights
        The file is damaged.
    UnsuitableSetting
        The head is none that layers can compute.
    """
    head = open_head(path)
    return _attach_network(features, head) if path.suffix == ".keras" else _attach_pipeline(features, head)


def probabilities_of(path: Path, X: NDArray[np.float32]) -> Doubles:
    """Return what the softmax of the logits is to be, shape (n, c), by the saved head itself; X is (n, d)."""
    score, are_probabilities = load_scorer(path)
    scores = score(X)
    return scores if are_probabilities else softmax(scores)


def softmax(logits: NDArray[np.floating[Any]]) -> Doubles:
    """Return probabilities of shape (n, c), computed in float64."""
    return np.asarray(special.softmax(logits.astype(np.float64), axis=1))


def check_head(path: Path) -> None:
    """Raise where a saved head is none that layers can compute; see `attach_head`."""
    head = open_head(path)
    width = head.input_shape[-1] if path.suffix == ".keras" else head.n_features_in_
    attach_head(import_keras().Input((width,)), path)


def _attach_network(x: Any, network: Any) -> Any:
    keras = import_keras()
    mean, scale = np.zeros(1), np.ones(1)
    for layer in network.layers[1:]:
        kind, weights = type(layer).__name__, layer.get_weights()
        if kind == "Normalization":
            mean, scale = (np.asarray(each, dtype=np.float64).ravel() for each in (layer.mean, layer.variance))
            scale = np.sqrt(scale)
            continue
        config = {**layer.get_config(), "name": PREFIX + layer.name}
        if kind == "Dense" and len(scale) > 1:
            bias = weights[1] if layer.use_bias else 0.0
            weights = _fold(mean, scale, weights[0], bias)
            config["use_bias"] = True
            mean, scale = np.zeros(1), np.ones(1)
        clone = type(layer).from_config(config)
        x = clone(x)
        clone.set_weights(weights)
    if len(scale) > 1:
        raise UnsuitableSetting(
            f"{network.name} scales features and has no Dense layer after that: it cannot be folded"
        )
    return x if x.dtype == "float32" else keras.ops.cast(x, "float32")


def _attach_pipeline(x: Any, pipeline: Any) -> Any:
    layers = import_keras().layers
    mean, scale = np.zeros(x.shape[-1]), np.ones(x.shape[-1])
    *steps, (_, classifier) = pipeline.steps
    for _, step in steps:
        match type(step).__name__:
            case "StandardScaler":
                # Within what was scaled before: (x - mean) / scale.
                mean = mean + scale * (step.mean_ if step.with_mean else 0.0)
                scale = scale * (step.scale_ if step.with_std else 1.0)
            case "Normalizer" if step.norm == "l2":
                if mean.any() or (scale != 1).any():
                    x = layers.Normalization(mean=mean, variance=scale**2, name=f"{PREFIX}centre")(x)
                x = layers.UnitNormalization(name=f"{PREFIX}unit")(x)
                mean, scale = np.zeros(x.shape[-1]), np.ones(x.shape[-1])
            case other:
                raise UnsuitableSetting(f"a head with {other} cannot be folded into layers: choose a linear head")
    if type(classifier).__name__ == "KNeighborsClassifier":
        return _attach_neighbours(x, classifier, mean, scale)
    kernel, bias = _linear(classifier)
    return _dense(x, *_fold(mean, scale, kernel, bias), name="logits")


def _linear(classifier: Any) -> tuple[Doubles, Doubles]:
    """Return kernel (d, c) and bias (c,) that give what a classifier gives of what it sees."""
    match type(classifier).__name__:
        case "LogisticRegression" | "LinearDiscriminantAnalysis" as name:
            kernel, bias = classifier.coef_.T, classifier.intercept_
            # One column is the second class against the first, by its sigmoid.
            return _two_columns(kernel, bias, first=0.0) if kernel.shape[1] == 1 else (kernel, bias)
        case "RidgeClassifier" | "LinearSVC" as name:
            kernel, bias = np.atleast_2d(classifier.coef_).T, np.ravel(classifier.intercept_)
            # As `scores_of` has it.
            return _two_columns(kernel, bias, first=-1.0) if kernel.shape[1] == 1 else (kernel, bias)
        case "NearestCentroid" if classifier.metric == "euclidean":
            # -|x - m|^2 = 2 x.m - |m|^2 - |x|^2, of which the last is the same for all classes.
            within = np.where(classifier.within_class_std_dev_ != 0, classifier.within_class_std_dev_, 1.0)
            centres = classifier.centroids_ / within
            prior = 2 * np.log(classifier.class_prior_)
            return 2 * (centres / within).T, prior - (centres**2).sum(axis=1)
        case name:
            raise UnsuitableSetting(
                f"a head that ends in {name} cannot be folded into layers: choose dense, logistic, ridge, linear svm, "
                "lda or centroid"
            )


def _two_columns(kernel: Doubles, bias: Doubles, *, first: float) -> tuple[Doubles, Doubles]:
    return np.hstack([first * kernel, kernel]), np.concatenate([first * bias, bias])


def _fold(mean: Doubles, scale: Doubles, kernel: NDArray[Any], bias: NDArray[Any] | float) -> list[Doubles]:
    """Return kernel and bias on features of what they are on (features - mean) / scale."""
    folded = np.asarray(kernel, dtype=np.float64) / scale[:, None]
    return [folded, bias - mean @ folded]


def _dense(x: Any, kernel: Doubles, bias: Doubles, *, name: str) -> Any:
    layer = import_keras().layers.Dense(kernel.shape[1], name=PREFIX + name)
    x = layer(x)
    layer.set_weights([kernel, bias])
    return x


def _attach_neighbours(x: Any, classifier: Any, mean: Doubles, scale: Doubles) -> Any:
    """Return the logarithms of the shares that classes have among the k nearest rows by cosine."""
    if classifier.metric != "cosine" or classifier.weights != "uniform" or mean.any() or (scale != 1).any():
        raise UnsuitableSetting("only neighbours by cosine that vote alike can be folded into layers")
    keras = import_keras()
    rows = np.asarray(classifier._fit_X, dtype=np.float64)  # (m, d)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = _dense(x, (rows / np.where(norms > 0, norms, 1.0)).T, np.zeros(len(rows)), name="rows")
    _, nearest = keras.ops.top_k(likeness, classifier.n_neighbors)
    votes = keras.layers.Embedding(len(rows), len(classifier.classes_), name=f"{PREFIX}votes")
    x = votes(nearest)  # (n, k, c)
    votes.set_weights([np.eye(len(classifier.classes_))[classifier._y]])
    shares = keras.layers.GlobalAveragePooling1D(name=f"{PREFIX}shares")(x)
    return keras.ops.log(keras.ops.maximum(shares, _LEAST_SHARE))
