"""The contract of all heads, over the registry: learning, scores, repetition, what they refuse to learn from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import HEADS, UnsuitableRows, UnsuitableSetting, load_head
from demijohn.models.heads.estimator import scores_of
from numpy.typing import NDArray
from support.heads import CASES, QUICK, SMALL, Rows, every_case, every_head, every_head_dense_slow, fit_small


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


@every_head_dense_slow
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
    pytest.param("dense", {"learning_rate": 1e30, "epochs": 3}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "settings"), IMPOSSIBLE)
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
