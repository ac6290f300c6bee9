"""The contract of all heads, over the registry: learning, scores, repetition, files that load without running code."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import (
    HEADS,
    BadWeights,
    UnknownHead,
    UnsuitableRows,
    UnsuitableSetting,
    find_head,
    load_head,
)
from demijohn.models.backend import import_keras
from demijohn.models.heads.estimator import scores_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

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


@pytest.fixture(scope="module")
def rows(guard: None, blobs: Blobs) -> Callable[[int], Rows]:
    """Return the maker of three splits of clouds that can be told apart."""

    @cache
    def make(classes: int) -> Rows:
        sizes = {"train": 200, "validation": 100, "test": 200}
        return {
            split: blobs(size, classes=classes, seed=number) for number, (split, size) in enumerate(sizes.items(), 1)
        }

    return make


@pytest.fixture(scope="module")
def trained(rows: Callable[[int], Rows]) -> Callable[[str, int], Any]:
    """Return a function that trains a case once."""

    @cache
    def train(case: str, classes: int) -> Any:
        name, settings = CASES[case]
        data = rows(classes)
        return find_head(name).make(settings, seed=0).fit(*data["train"], validation=data["validation"])

    return train


def fit_small(name: str, X: NDArray[Any], y: NDArray[Any], **options: Any) -> Any:
    return HEADS[name].make(SMALL[name], seed=0).fit(X, y, **options)


def test_the_table_covers_the_registry() -> None:
    assert {name for name, _ in CASES.values()} == set(HEADS) == set(SMALL)
    assert all(name == record.name for name, record in HEADS.items())


# Learning and scoring.


@pytest.mark.slow
@every_case
def test_it_tells_clouds_apart(trained: Any, rows: Callable[[int], Rows], case: str, classes: int) -> None:
    head = trained(case, classes)
    features, labels = rows(classes)["test"]
    predicted = head.predict(features)
    assert predicted.shape == labels.shape
    assert (predicted == labels).mean() > 0.95
    assert list(head.classes_) == list(range(classes))


@every_case
def test_the_prediction_is_the_class_of_the_highest_score(
    trained: Any, rows: Callable[[int], Rows], case: str, classes: int
) -> None:
    head = trained(case, classes)
    # Far from every cloud and between them, where classes tie.
    anywhere = np.random.default_rng(0).normal(size=(2000, 12)).astype(np.float32) * 3
    for features in (rows(classes)["test"][0], anywhere, anywhere * 100):
        scores, are_probabilities = scores_of(head, features)
        assert scores.shape == (len(features), classes)
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(head.classes_[scores.argmax(axis=1)], head.predict(features))
        if are_probabilities:
            assert (scores >= 0).all()
            np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


@every_case
def test_what_was_found_is_plain_json(trained: Any, case: str, classes: int) -> None:
    head = trained(case, classes)
    for found in (head.facts_, head.history_, head.warnings_):
        assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(isinstance(warning, str) and "\n" not in warning for warning in head.warnings_)


@every_head_dense_slow
def test_the_same_seed_gives_the_same_scores(rows: Callable[[int], Rows], name: str) -> None:
    data = rows(5)
    first, second = (
        scores_of(fit_small(name, *data["train"], validation=data["validation"]), data["test"][0])[0] for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


# Data of other kinds.


@every_head_dense_slow
@pytest.mark.parametrize("classes", [2, 5])
def test_classes_may_have_names(rows: Callable[[int], Rows], tmp_path: Path, name: str, classes: int) -> None:
    data = rows(classes)
    # Sorted otherwise than the numbers are.
    names = np.array(["zebra", "cat", "ape", "Ärger", "dog"])
    numbered = fit_small(name, *data["train"], validation=data["validation"])
    named = HEADS[name].make(SMALL[name], seed=0)
    (X, y), (held_out, held_labels) = data["train"], data["validation"]
    named.fit(X, names[y], validation=(held_out, names[held_labels]))
    assert list(named.classes_) == sorted(names[:classes])
    features = data["test"][0]
    scores = scores_of(named, features)[0]
    assert (named.classes_[scores.argmax(axis=1)] == named.predict(features)).all()
    if name != "dense":
        # Where nothing is random, the order of the classes changes nothing but the order of the scores.
        assert (named.predict(features) == names[numbered.predict(features)]).mean() > 0.99
    named.save(tmp_path / f"head{named.suffix}")
    np.testing.assert_allclose(load_head(tmp_path / f"head{named.suffix}")(features), scores, rtol=1e-5, atol=1e-6)


@every_head_dense_slow
def test_without_validation_rows_it_learns_and_warns(rows: Callable[[int], Rows], name: str) -> None:
    data = rows(2)
    settings = {"hidden": (), "epochs": 15, "learning_rate": 0.05} if name == "dense" else {}
    head = HEADS[name].make(settings, seed=0).fit(*data["train"])
    assert (head.predict(data["test"][0]) == data["test"][1]).mean() > 0.95
    # Ridge chooses by leaving one out, and the class means have nothing to choose.
    assert any("no validation pictures" in warning for warning in head.warnings_) == (name not in ("ridge", "centroid"))


SHAPES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "a single feature": lambda X: X[:, :1],
    "constant features": lambda X: np.full_like(X, 0.1),
    "some constant features": lambda X: np.concatenate([X, np.full_like(X, 3)], axis=1),
    "more features than rows": lambda X: np.tile(X, 20)[:30],
    "a dozen rows": lambda X: X[:12],
    "very large features": lambda X: X * np.float32(1e12),
    "very small features": lambda X: X * np.float32(1e-12),
}


@every_head_dense_slow
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_features_give_finite_scores(rows: Callable[[int], Rows], name: str, shape: str) -> None:
    X, y = rows(2)["train"]
    X = SHAPES[shape](X)
    held_out, labels = rows(2)["validation"]
    held_out = SHAPES[shape](held_out)
    head = fit_small(name, X, y[: len(X)], validation=(held_out, labels[: len(held_out)]))
    scores = scores_of(head, held_out)[0]
    assert scores.shape == (len(held_out), 2)
    assert np.isfinite(scores).all()


balancing = [name for name, record in HEADS.items() if "balanced" in record.settings]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "dense" else ()) for name in balancing]
)
def test_balanced_helps_the_minority(guard: None, name: str) -> None:
    random = np.random.default_rng(0)

    def draw(count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        labels = (np.arange(count) % 20 == 0).astype(np.int64)
        return (random.normal(size=(count, 6)) + 0.6 * labels[:, None]).astype(np.float32), labels

    train, (features, labels) = draw(600), draw(1000)

    def recall(*, balanced: bool) -> float:
        settings = {"hidden": (), "epochs": 15, "learning_rate": 0.02} if name == "dense" else SMALL[name]
        head = HEADS[name].make({**settings, "balanced": balanced}, seed=0).fit(*train)
        return float((head.predict(features)[labels == 1] == 1).mean())

    assert recall(balanced=True) > recall(balanced=False) + 0.2


# Weights.


def classes_apart(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return three classes that overlap."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return (random.normal(size=(count, 6)) + 0.8 * np.eye(6)[labels]).astype(np.float32), labels


weighing = [name for name in HEADS if name not in ("dense", "knn")]


@pytest.mark.parametrize("name", weighing)
def test_a_row_that_counts_twice_is_as_two_rows(name: str) -> None:
    X, y = classes_apart(90, seed=1)
    counts = np.random.default_rng(0).integers(0, 3, size=90)
    weighted = fit_small(name, X, y, sample_weight=counts.astype(float))
    repeated = fit_small(name, np.repeat(X, counts, axis=0), np.repeat(y, counts))
    features, _ = classes_apart(60, seed=2)
    scores, again = scores_of(weighted, features)[0], scores_of(repeated, features)[0]
    np.testing.assert_allclose(scores, again, atol=2e-3 * np.abs(again).max())


@pytest.mark.slow
def test_the_dense_head_learns_from_rows_by_their_weight() -> None:
    X, y = classes_apart(240, seed=1)
    settings = {"hidden": (), "epochs": 20, "learning_rate": 0.05}
    weights = np.where(y == 2, 1e-3, 1.0)
    plain, weighted = (HEADS["dense"].make(settings, seed=0).fit(X, y, sample_weight=each) for each in (None, weights))
    features, labels = classes_apart(120, seed=2)
    assert (plain.predict(features) == 2).sum() > 20
    assert (weighted.predict(features)[labels != 2] == 2).sum() < 2


def test_neighbours_say_that_they_cannot_weigh() -> None:
    X, y = classes_apart(30, seed=1)
    with pytest.raises(UnsuitableRows, match="leave out sample_weight"):
        fit_small("knn", X, y, sample_weight=np.arange(30) + 1.0)
    # Rows that do not count are left out all the same.
    half = fit_small("knn", X, y, sample_weight=(np.arange(30) < 15).astype(float))
    assert (half.predict(X) == fit_small("knn", X[:15], y[:15]).predict(X)).all()


# Chosen once, and trained anew on more rows.


@pytest.mark.slow
@every_head
def test_what_was_chosen_is_settings_for_another_fit(rows: Callable[[int], Rows], name: str) -> None:
    data = rows(5)
    settings = {**QUICK, "hidden": (8,)} if name == "dense" else {}
    first: Any = HEADS[name].make(settings, seed=0).fit(*data["train"], validation=data["validation"])
    assert first.chosen_.keys() <= HEADS[name].settings.keys()
    again: Any = HEADS[name].make({**settings, **first.chosen_}, seed=0).fit(*data["train"])
    assert again.chosen_.keys() == first.chosen_.keys()
    features, _ = data["test"]
    if name != "dense":
        assert scores_of(first, features)[0].tobytes() == scores_of(again, features)[0].tobytes()
    else:
        assert (first.predict(features) == again.predict(features)).mean() > 0.95


# What no head learns from.

BROKEN: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64]], tuple[Any, Any, Any]]] = {
    "a feature that is no number": lambda X, y: (np.where(np.arange(X.size).reshape(X.shape) == 7, np.nan, X), y, None),
    "an endless feature": lambda X, y: (np.where(np.arange(X.size).reshape(X.shape) == 7, np.inf, X), y, None),
    "a single class": lambda X, y: (X, np.zeros_like(y), None),
    "no rows": lambda X, y: (X[:0], y[:0], None),
    "fewer classes than rows": lambda X, y: (X, y[:-1], None),
    "numbers for classes": lambda X, y: (X, y + 0.5, None),
    "a single row of features": lambda X, y: (X[0], y, None),
    "a negative weight": lambda X, y: (X, y, np.where(np.arange(len(y)) == 3, -1.0, 1.0)),
    "weights of nothing": lambda X, y: (X, y, np.zeros(len(y))),
}


@every_head
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_rows_are_refused(rows: Callable[[int], Rows], name: str, kind: str) -> None:
    X, y, weights = BROKEN[kind](*rows(2)["train"])
    with pytest.raises(UnsuitableRows) as caught:
        fit_small(name, X, y, sample_weight=weights)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@every_head
def test_features_that_do_not_fit_are_refused_when_predicted(rows: Callable[[int], Rows], name: str) -> None:
    X, y = rows(2)["train"]
    head = fit_small(name, X, y)
    for other in (X[:, :-1], np.full_like(X, np.nan)):
        with pytest.raises(UnsuitableRows):
            head.predict(other)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "centroid"])
def test_a_class_of_validation_that_was_not_trained_on_is_refused(rows: Callable[[int], Rows], name: str) -> None:
    X, y = rows(2)["train"]
    with pytest.raises(UnsuitableRows, match="the class 7, which no training row has"):
        fit_small(name, X, y, validation=(X[:3], np.full(3, 7)))


IMPOSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("logistic", {"c": -1.0}),
    ("svm", {"c": 0.0}),
    ("svm", {"kernel": "poly"}),
    ("ridge", {"alpha": -2.0}),
    ("lda", {"shrinkage": 1.5}),
    ("knn", {"neighbours": 0}),
    ("knn", {"neighbours": 2.5}),
    ("dense", {"hidden": (0,)}),
    ("dense", {"dropout": 1.0}),
    ("dense", {"l2": -0.1}),
    ("dense", {"epochs": 0}),
    ("dense", {"learning_rate": 0.0}),
    ("dense", {"learning_rate": 1e30, "epochs": 3}),
]


@pytest.mark.parametrize(("name", "settings"), IMPOSSIBLE, ids=[f"{name} {settings}" for name, settings in IMPOSSIBLE])
def test_an_impossible_setting_is_refused(rows: Callable[[int], Rows], name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UnsuitableSetting) as caught:
        HEADS[name].make(settings, seed=0).fit(*rows(2)["train"])
    assert f"--{next(iter(settings)).replace('_', '-')}" in str(caught.value) or "--learning-rate" in str(caught.value)


# Hard sets.


def hard_set(kind: str) -> tuple[tuple[NDArray[np.float32], NDArray[np.int64]], ...]:
    """Return training, validation and test rows of a kind that data sets are of."""
    random = np.random.default_rng(0)
    sizes = {
        "five pictures a class": [5] * 10,
        "one class with a single picture": [40, 40, 1],
        "one of fifty": [500, 10],
        "constant features": [40, 40],
        "five hundred classes": [4] * 500,
    }[kind]
    centres = random.normal(size=(len(sizes), 64)) * 0.6

    def draw(counts: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        labels = np.repeat(np.arange(len(counts)), counts)
        X = centres[labels] + random.normal(size=(len(labels), 64))
        if kind == "constant features":
            X[:, ::2] = 3
        return np.maximum(X, 0).astype(np.float32), labels

    return draw(sizes), draw([max(1, size // 2) for size in sizes]), draw([20 if len(sizes) < 100 else 2] * len(sizes))


FAIR = {
    "five pictures a class": 0.6,
    "one class with a single picture": 0.6,
    "one of fifty": 0.5,
    "constant features": 0.9,
    "five hundred classes": 0.15,
}


@every_head_dense_slow
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind == "five hundred classes" else ()) for kind in FAIR]
)
def test_hard_sets_give_sensible_heads(name: str, kind: str) -> None:
    train, validation, (X, y) = hard_set(kind)
    settings = {"epochs": 40} if name == "dense" else {}
    head: Any = HEADS[name].make(settings, seed=0).fit(*train, validation=validation)
    scores, _ = scores_of(head, X)
    assert np.isfinite(scores).all()
    assert scores.shape == (len(X), len(head.classes_))
    assert (head.predict(X) == y).mean() >= FAIR[kind]
    assert all("\n" not in warning for warning in head.warnings_)


# Saving and loading.


@pytest.mark.slow
@every_case
def test_saved_and_loaded_it_gives_the_same_scores(
    trained: Any, rows: Callable[[int], Rows], tmp_path: Path, case: str, classes: int
) -> None:
    head = trained(case, classes)
    file = tmp_path / f"head{head.suffix}"
    head.save(file)
    features = rows(classes)["test"][0]
    np.testing.assert_allclose(load_head(file)(features), scores_of(head, features)[0], rtol=1e-5, atol=1e-6)


@every_case
def test_the_file_holds_no_pickle(trained: Any, tmp_path: Path, case: str, classes: int) -> None:
    head = trained(case, classes)
    file = tmp_path / f"head{head.suffix}"
    head.save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert {Path(name).suffix for name in members} <= {".json", ".npy", ".h5"}
    for name, content in members.items():
        if name.endswith(".npy"):
            np.load(io.BytesIO(content), allow_pickle=False)
        elif name.endswith(".json"):
            json.loads(content)
        else:
            assert content.startswith(b"\x89HDF")


LOAD = """
import sys, numpy as np
from pathlib import Path
from demijohn.models import load_head
folder = Path(sys.argv[1])
for file in sorted(folder.glob("head.*")):
    np.save(folder / f"{file.name}.npy", load_head(file)(np.load(folder / "features.npy")))
print(*sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "torch"}))
"""


def run(script: str, *arguments: str | Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("suffix", [pytest.param(".keras", marks=pytest.mark.slow), ".skops"])
def test_it_loads_in_another_process(trained: Any, rows: Callable[[int], Rows], tmp_path: Path, suffix: str) -> None:
    features = rows(5)["test"][0]
    np.save(tmp_path / "features.npy", features)
    head = trained("dense, batch norm" if suffix == ".keras" else "logistic", 5)
    head.save(tmp_path / f"head{suffix}")
    imported = run(LOAD, tmp_path)
    assert imported == ("keras tensorflow" if suffix == ".keras" else "")
    scores = np.load(tmp_path / f"head{suffix}.npy")
    np.testing.assert_allclose(scores, scores_of(head, features)[0], rtol=1e-5, atol=1e-6)


TRAIN = """
import sys, numpy as np
from pathlib import Path
from demijohn.models import HEADS, find_head, load_head
from demijohn.models.heads.estimator import scores_of
X, y = np.random.default_rng(0).normal(size=(60, 5)).astype("f4"), np.arange(60) % 3
for name, settings in [(name, {}) for name in HEADS if name != "dense"] + [("svm", {"kernel": "rbf"})]:
    head = find_head(name).make(settings, seed=0).fit(X, y, validation=(X, y))
    scores_of(head, X)
    head.predict(X)
    head.save(Path(sys.argv[1]) / "head.skops")
    load_head(Path(sys.argv[1]) / "head.skops")(X)
print(*sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "torch"}))
"""


@pytest.mark.slow
def test_heads_of_scikit_learn_train_save_and_load_without_tensorflow(tmp_path: Path) -> None:
    assert run(TRAIN, tmp_path) == ""


# Damage and attacks.


@pytest.fixture(scope="module")
def saved(rows: Callable[[int], Rows], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a sound file of every head; it is not to be changed."""
    folder = tmp_path_factory.mktemp("heads")
    files = {}
    for name in HEADS:
        head = fit_small(name, *rows(2)["train"])
        files[name] = folder / f"{name}{head.suffix}"
        head.save(files[name])
        load_head(files[name])
    return files


def refuse(file: Path) -> None:
    with pytest.raises(BadWeights, match="cannot be loaded as a head") as caught:
        load_head(file)
    assert str(file) in str(caught.value)
    assert "train it again with --force" in str(caught.value)


@pytest.mark.parametrize("suffix", [".skops", ".keras", ".txt", ""])
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"PK\x03\x04garbage", bytes(range(256)) * 20, b"\x89HDF\r\n\x1a\n"]
)
def test_garbage_is_refused(guard: None, tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"head{suffix}"
    file.write_bytes(content)
    refuse(file)


@pytest.mark.parametrize("suffix", [".skops", ".keras"])
def test_a_missing_file_is_refused(guard: None, tmp_path: Path, suffix: str) -> None:
    refuse(tmp_path / f"head{suffix}")


@pytest.mark.parametrize("suffix", [".skops", ".keras"])
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"a": "b"},
        {"schema.json": "{}", "config.json": "{}"},
        {"schema.json": "[", "config.json": "["},
    ],
)
def test_a_zip_of_something_else_is_refused(guard: None, tmp_path: Path, suffix: str, members: dict[str, str]) -> None:
    file = tmp_path / f"head{suffix}"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refuse(file)


@every_head
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_cut_file_is_refused(saved: dict[str, Path], tmp_path: Path, name: str, share: float) -> None:
    content = saved[name].read_bytes()
    file = tmp_path / saved[name].name
    file.write_bytes(content[: int(len(content) * share)])
    refuse(file)


@every_head
def test_a_file_without_one_of_its_members_is_refused(saved: dict[str, Path], tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(saved[name]) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    file = tmp_path / saved[name].name
    for missing in set(members) - {"metadata.json"}:
        with zipfile.ZipFile(file, "w") as archive:
            for each, content in members.items():
                if each != missing:
                    archive.writestr(each, content)
        refuse(file)


class Stranger(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of somebody's own, which skops knows nothing about."""

    def predict(self, X: Any) -> Any:
        raise AssertionError("this must not run")


def tamper(source: Path, target: Path, member: str, change: Callable[[Any], Any]) -> None:
    """Write a copy of a zip whose JSON member has been changed."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            changed.writestr(name, json.dumps(change(json.loads(content))) if name == member else content)


def test_an_untrusted_type_is_refused(tmp_path: Path) -> None:
    import skops.io

    file = tmp_path / "head.skops"
    skops.io.dump(Stranger(), file)
    refuse(file)


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module `spy` on the path that creates the returned file when it is imported."""
    marker = tmp_path / "marker"
    (tmp_path / "spy.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nclass Spy:\n    from_config = classmethod(lambda cls, *_: cls())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spy", raising=False)
    return marker


CODE = [("spy", "Spy"), ("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")]


@pytest.mark.parametrize(("module", "name"), [*CODE, ("sklearn.base", "clone"), ("numpy", "load")])
@pytest.mark.parametrize("wanted", ["Pipeline", "LogisticRegression"])
def test_a_skops_file_that_names_other_code_is_refused(
    saved: dict[str, Path], tmp_path: Path, spy: Path, module: str, name: str, wanted: str
) -> None:
    def change(node: Any) -> Any:
        if isinstance(node, list):
            return [change(each) for each in node]
        if not isinstance(node, dict):
            return node
        other = {"__module__": module, "__class__": name} if node.get("__class__") == wanted else {}
        return {key: change(value) for key, value in node.items()} | other

    file = tmp_path / "head.skops"
    tamper(saved["logistic"], file, "schema.json", change)
    refuse(file)
    assert not spy.exists()
    assert "spy" not in sys.modules


@pytest.mark.parametrize(("module", "name"), CODE)
def test_a_keras_file_that_names_other_code_is_refused(
    saved: dict[str, Path], tmp_path: Path, spy: Path, module: str, name: str
) -> None:
    def change(config: Any) -> Any:
        layer = config["config"]["layers"][1]
        layer.update(module=module, class_name=name, registered_name=name, config={"command": f"touch {spy}"})
        return config

    file = tmp_path / "head.keras"
    tamper(saved["dense"], file, "config.json", change)
    refuse(file)
    assert not spy.exists()
    assert "spy" not in sys.modules


def test_a_keras_file_with_a_lambda_is_refused(guard: None, tmp_path: Path) -> None:
    keras = import_keras()
    marker, file = tmp_path / "marker", tmp_path / "head.keras"
    path = str(marker)
    features = keras.Input((3,))
    layer = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Model(features, layer(features)).save(file)
    marker.unlink()
    refuse(file)
    assert not marker.exists()
    keras.saving.load_model(file, safe_mode=False)
    assert marker.exists(), "the attack is real"


# The registry.


@every_head
def test_a_head_is_found_by_name(name: str) -> None:
    assert find_head(name) is HEADS[name]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("Dense", "dense"),
        ("denes", "dense"),
        ("logistics", "logistic"),
        ("LOGISTIC", "logistic"),
        ("SVM", "svm"),
        ("svn", "svm"),
    ],
)
def test_a_name_that_is_nearly_right_is_put_right(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownHead, match=f"did you mean {meant}") as caught:
        find_head(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "forest", "?"])
def test_a_name_like_none_gets_the_whole_list(wrong: str) -> None:
    with pytest.raises(UnknownHead) as caught:
        find_head(wrong)
    assert all(name in str(caught.value) for name in HEADS)
    assert isinstance(caught.value, LookupError)


@every_head
def test_a_record_is_plain_json(name: str) -> None:
    facts = HEADS[name].to_json()
    # Tuples become lists.
    assert json.loads(json.dumps(facts, allow_nan=False)).keys() == {"name", "summary", "settings"}
    assert facts["name"] == name
    assert "seed" not in facts["settings"], "a seed is no setting"


OWNED = [(record, setting) for record in HEADS.values() for setting in record.settings]


@every_head
def test_a_setting_of_another_head_is_refused_with_that_heads_name(name: str) -> None:
    for record, setting in OWNED:
        value = record.settings[setting]
        if setting in HEADS[name].settings:
            assert HEADS[name].complete({setting: value})[setting] == value
            continue
        with pytest.raises(UnsuitableSetting) as caught:
            HEADS[name].complete({setting: value})
        message = str(caught.value)
        assert message.startswith(f"--{setting.replace('_', '-')} is no setting of the head {name}")
        owners = message.partition("belongs to ")[2].partition(";")[0].split(", ")
        assert owners == [head.name for head in HEADS.values() if setting in head.settings]
        assert all(f"--{own.replace('_', '-')}" in message for own in HEADS[name].settings)
        assert isinstance(caught.value, ValueError)


@every_head
@pytest.mark.parametrize("setting", ["seed", "nonsense", ""])
def test_a_setting_of_no_head_is_refused(name: str, setting: str) -> None:
    with pytest.raises(UnsuitableSetting, match="belongs to no head"):
        HEADS[name].complete({setting: 1})


OTHER = {
    "hidden": (3, 2),
    "dropout": 0.1,
    "batch_norm": True,
    "l2": 0.01,
    "epochs": 7,
    "batch_size": 9,
    "learning_rate": 0.5,
    "patience": 3,
    "balanced": True,
    "kernel": "rbf",
    "c": 2.0,
    "alpha": 3.0,
    "neighbours": 4,
    "shrinkage": 0.5,
}
"""A value of every setting that is not its default."""


@every_head
@given(st.data())
def test_given_settings_win_and_the_defaults_fill_the_rest(name: str, data: st.DataObject) -> None:
    record = HEADS[name]
    chosen = {
        setting: OTHER[setting]
        for setting in data.draw(st.sets(st.sampled_from([*sorted(record.settings), None])))
        if setting
    }
    assert all(record.settings[setting] != value for setting, value in chosen.items())
    complete = record.complete(chosen)
    assert complete.keys() == record.settings.keys()
    assert {setting: complete[setting] for setting in chosen} == chosen
    assert all(complete[setting] == record.settings[setting] for setting in complete.keys() - chosen.keys())


@every_head
def test_settings_reach_the_head(name: str) -> None:
    record = HEADS[name]
    other = {setting: OTHER[setting] for setting in record.settings}
    head: Any = record.make(record.complete(other), seed=5)
    assert head.get_params() == {**other, "seed": 5}
