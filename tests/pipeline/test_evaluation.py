"""Metrics equal scikit-learn's; intervals are honest where the bootstrap cannot be."""

import numpy as np
import pytest
from demijohn.pipeline.evaluation import confusion_matrix, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.metrics import confusion_matrix as reference_confusion


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 10_000))
def test_metrics_equal_the_reference(count: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count).astype(np.int32)
    scores = random.dirichlet(np.ones(classes), count)
    metrics = evaluate(labels, scores, are_probabilities=True)
    predicted = scores.argmax(axis=1)
    support = np.unique(labels)
    assert metrics["images"] == count
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert metrics["macro_f1"] == pytest.approx(
        f1_score(labels, predicted, labels=support, average="macro", zero_division=0)
    )
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, scores, labels=range(classes)), rel=1e-6)
    for name in ("accuracy", "macro_f1", "log_loss"):
        low, high = metrics[f"{name}_interval"]
        assert low <= high
    assert (
        confusion_matrix(labels, predicted.astype(np.int32), classes)
        == reference_confusion(labels, predicted, labels=range(classes))
    ).all()


def test_the_interval_is_about_that_of_a_binomial() -> None:
    random = np.random.default_rng(0)
    labels = np.zeros(1000, dtype=np.int32)
    scores = np.where(random.random((1000, 1)) < 0.8, [[0.9, 0.1]], [[0.1, 0.9]])
    metrics = evaluate(labels, scores, are_probabilities=True)
    low, high = metrics["accuracy_interval"]
    assert low < metrics["accuracy"] < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 1000), rel=0.15)


def test_ten_of_ten_does_not_prove_a_hundred_percent() -> None:
    metrics = evaluate(np.zeros(10, np.int32), np.tile([[0.9, 0.1]], (10, 1)), are_probabilities=True)
    assert metrics["accuracy"] == 1.0
    assert metrics["accuracy_interval"][0] == pytest.approx(0.6915, abs=1e-3)
    assert metrics["accuracy_interval"][1] == 1.0


def test_the_same_seed_gives_the_same_interval() -> None:
    random = np.random.default_rng(1)
    labels, scores = random.integers(0, 3, 50).astype(np.int32), random.random((50, 3))
    assert evaluate(labels, scores, are_probabilities=False) == evaluate(labels, scores, are_probabilities=False)


def test_what_is_undefined_is_none() -> None:
    empty = evaluate(np.zeros(0, np.int32), np.zeros((0, 2)), are_probabilities=True)
    assert empty == {
        "images": 0,
        **{f"{name}{end}": None for name in ("accuracy", "macro_f1", "log_loss") for end in ("", "_interval")},
    }
    decisions = evaluate(np.array([0, 1], np.int32), np.array([[3.0, -3.0], [-1.0, 1.0]]), are_probabilities=False)
    assert decisions["log_loss"] is None
    assert decisions["accuracy"] == 1.0
