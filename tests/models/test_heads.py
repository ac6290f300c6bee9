"""Every head keeps the same promises: it learns, scores, repeats, saves without pickles; a tampered file is refused."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from demijohn.models import HEADS, BadWeights, UnknownHead, UnsuitableSetting, find_head, load_head, scores_of
from sklearn.datasets import make_blobs

TABLE = [
    ("dense", {"hidden": (), "epochs": 30, "learning_rate": 0.02}),
    ("dense", {"hidden": (16, 8), "batch_norm": True, "dropout": 0.2, "epochs": 30, "learning_rate": 0.01}),
    ("logistic", {}),
    ("logistic", {"c": 1.0}),
    ("svm", {}),
    ("svm", {"kernel": "rbf"}),
]
Data = tuple[np.ndarray, np.ndarray]


def blobs(classes: int, *, names: bool = False) -> tuple[Data, Data, Data]:
    X, y = make_blobs(90 * classes, n_features=12, centers=classes, cluster_std=1.5, random_state=0)
    labels = np.array([f"class {code}" for code in range(classes)])[y] if names else y
    X = X.astype(np.float32)
    cuts = (slice(None, 50 * classes), slice(50 * classes, 70 * classes), slice(70 * classes, None))
    train, validation, test = ((X[cut], labels[cut]) for cut in cuts)
    return train, validation, test


def fit(name: str, settings: dict[str, Any], train: Data, validation: Data | None, seed: int = 0) -> Any:
    record = find_head(name)
    return record.make(record.complete(settings), seed=seed).fit(*train, validation=validation)


def test_the_table_names_every_head() -> None:
    assert {name for name, _ in TABLE} == set(HEADS)


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize(("name", "settings"), TABLE)
def test_it_learns_and_what_is_saved_says_the_same(
    name: str, settings: dict[str, Any], classes: int, tmp_path: Path
) -> None:
    train, validation, (X, y) = blobs(classes, names=True)
    head = fit(name, settings, train, validation)
    assert np.mean(head.predict(X) == y) > 0.95
    scores, are_probabilities = scores_of(head, X)
    assert scores.shape == (len(X), classes)
    assert (head.classes_[scores.argmax(axis=1)] == head.predict(X)).all()
    if are_probabilities:
        assert np.allclose(scores.sum(axis=1), 1)
    path = tmp_path / f"head{head.suffix}"
    head.save(path)
    assert np.allclose(load_head(path)(X), scores, atol=1e-5)
    with zipfile.ZipFile(path) as archive:
        assert not [each for each in archive.namelist() if each.endswith((".pkl", ".pickle"))]
    again = fit(name, settings, train, validation)
    assert (scores_of(again, X)[0] == scores).all()


@pytest.mark.parametrize(("name", "settings"), TABLE)
def test_hard_data(name: str, settings: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((12, 40)).astype(np.float32)
    X[:, :20] = 1.0
    y = np.arange(12) % 2
    elsewhere = X + 5
    scores, _ = scores_of(fit(name, settings, (X, y), None), elsewhere)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_scikit_learn_heads_never_import_tensorflow(name: str) -> None:
    script = (
        "import sys, numpy as np\nfrom demijohn.models import find_head\n"
        f"record = find_head({name!r})\nX = np.eye(8, dtype=np.float32); y = np.arange(8) % 2\n"
        "record.make(record.complete({}), seed=0).fit(X, y, validation=(X, y))\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_balanced_lifts_the_rare_class() -> None:
    random = np.random.default_rng(0)
    y = (random.random(600) < 0.05).astype(int)
    X = (random.standard_normal((600, 6)) + y[:, None]).astype(np.float32)
    train, validation, rare = (X[:400], y[:400]), (X[400:500], y[400:500]), X[500:][y[500:] == 1]
    for name in ("logistic", "svm"):
        plain, balanced = (fit(name, {"balanced": each}, train, validation) for each in (False, True))
        assert balanced.predict(rare).mean() >= plain.predict(rare).mean()
        assert balanced.predict(rare).mean() > 0.6


def test_settings_of_another_head_name_it() -> None:
    with pytest.raises(UnsuitableSetting, match=r"--dropout is no setting of the head svm: it belongs to dense"):
        find_head("svm").complete({"dropout": 0.5})
    assert find_head("svm").complete({"c": 2.0}) == {"kernel": "linear", "c": 2.0, "balanced": False}


def test_a_wrong_name_gets_a_near_one() -> None:
    with pytest.raises(UnknownHead, match="did you mean logistic"):
        find_head("logisitc")


def test_nothing_that_could_run_code_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "head.skops"
    skops.io.dump(io.TextIOWrapper, path)
    with pytest.raises(BadWeights, match="cannot be loaded as a head"):
        load_head(path)


@pytest.mark.parametrize("suffix", [".skops", ".keras"])
def test_a_damaged_head_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"head{suffix}"
    path.write_bytes(b"no head")
    with pytest.raises(BadWeights, match="--force"):
        load_head(path)


def test_a_rate_that_diverges_is_told() -> None:
    train, validation, _ = blobs(2)
    with pytest.raises(UnsuitableSetting, match="smaller --learning-rate"):
        fit("dense", {"learning_rate": 1e30, "epochs": 3}, train, validation)
