"""A head as layers gives what the saved head gives, whatever it was made of; what cannot be folded is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from demijohn.models import BadWeights, UnsuitableSetting, find_head, load_head
from demijohn.models.backend import import_keras
from demijohn.models.networks.folding import attach_head
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC

WIDTH = 12


def centred() -> StandardScaler:
    return StandardScaler(with_std=False)


PIPELINES = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "logistic, unscaled": lambda: make_pipeline(LogisticRegression(max_iter=5000)),
    "logistic, scaled twice": lambda: make_pipeline(
        StandardScaler(with_mean=False), StandardScaler(), LogisticRegression(max_iter=1000)
    ),
    "logistic, on the sphere": lambda: make_pipeline(StandardScaler(), Normalizer(), LogisticRegression()),
    "logistic, sphere first": lambda: make_pipeline(Normalizer(), StandardScaler(), LogisticRegression()),
    "ridge": lambda: make_pipeline(StandardScaler(), RidgeClassifier()),
    "svm": lambda: make_pipeline(StandardScaler(), LinearSVC()),
    "lda": lambda: make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)),
    "centroid": lambda: make_pipeline(centred(), Normalizer(), NearestCentroid()),
    "centroid, unlike priors": lambda: make_pipeline(centred(), Normalizer(), NearestCentroid(priors="empirical")),
    "knn": lambda: make_pipeline(centred(), Normalizer(), KNeighborsClassifier(7, metric="cosine", algorithm="brute")),
}


def rows(count: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return overlapping clouds of features on unlike scales, far from 0, and their classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    centres = np.random.default_rng(classes).normal(size=(classes, WIDTH))
    X = (centres[labels] + random.normal(size=(count, WIDTH))) * np.geomspace(0.05, 20, WIDTH) + 3
    return X.astype(np.float32), labels


def logits_of(path: Path, X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what a folded head gives after it was saved and loaded in safe mode."""
    keras = import_keras()
    features = keras.Input((X.shape[1],), name="features")
    folded = keras.Model(features, attach_head(features, path))
    assert all(layer.name.startswith(("classifier_", "features", "top_k", "log", "maximum")) for layer in folded.layers)
    assert not any(type(layer).__name__ == "Lambda" for layer in folded.layers)
    again = path.with_name("folded.keras")
    folded.save(again)
    return np.asarray(keras.saving.load_model(again, safe_mode=True)(X), dtype=np.float64)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", list(PIPELINES))
def test_layers_give_what_the_saved_head_gives(name: str, classes: int, tmp_path: Path) -> None:
    head = PIPELINES[name]().fit(*rows(120, classes))
    path = tmp_path / "head.skops"
    skops.io.dump(head, path)
    X, _ = rows(200, classes, seed=1)
    logits, scores = logits_of(path, X), load_head(path)(X)
    assert logits.shape == scores.shape == (200, classes)
    if hasattr(head, "predict_proba"):
        np.testing.assert_allclose(softmax(logits, axis=1), scores, rtol=1e-3, atol=1e-5)
    else:
        np.testing.assert_allclose(logits, scores, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("settings", [{"hidden": ()}, {"hidden": (8, 6)}, {"hidden": (8,), "batch_norm": True}])
def test_the_dense_head_keeps_its_layers_but_for_the_scaling(
    settings: dict[str, Any], classes: int, tmp_path: Path
) -> None:
    record = find_head("dense")
    head = record.make(record.complete({"epochs": 2, **settings}), seed=0).fit(*rows(120, classes))
    path = tmp_path / "head.keras"
    head.save(path)
    X, _ = rows(200, classes, seed=1)
    np.testing.assert_allclose(softmax(logits_of(path, X), axis=1), load_head(path)(X), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([StandardScaler(), SVC()], "SVC"),
        ([StandardScaler(), Nystroem(n_components=5), LinearSVC()], "Nystroem"),
        ([MinMaxScaler(), LogisticRegression()], "MinMaxScaler"),
        ([KNeighborsClassifier(3, metric="cosine", weights="distance")], "vote alike"),
        ([NearestCentroid(metric="manhattan")], "NearestCentroid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_folded_is_refused_in_a_line(steps: list[Any], told: str, tmp_path: Path) -> None:
    path = tmp_path / "head.skops"
    skops.io.dump(make_pipeline(*steps).fit(*rows(60, 3)), path)
    keras = import_keras()
    with pytest.raises(UnsuitableSetting, match=told) as caught:
        attach_head(keras.Input((WIDTH,)), path)
    assert "\n" not in str(caught.value)


def test_a_damaged_head_is_told(tmp_path: Path) -> None:
    (tmp_path / "head.skops").write_bytes(b"nothing")
    with pytest.raises(BadWeights, match="train it again"):
        attach_head(import_keras().Input((WIDTH,)), tmp_path / "head.skops")
