"""Metrics equal scikit-learn's; intervals are honest at the edges, and groups widen them."""

import json
import warnings

import numpy as np
import pytest
from demijohn.pipeline.statistics.evaluation import WITH_INTERVAL, WITHOUT_INTERVAL, Metrics, confusion_matrix, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)
from sklearn.metrics import confusion_matrix as reference_confusion

Cases = st.tuples(st.integers(2, 60), st.integers(2, 14), st.integers(0, 10_000))


def made(count: int, classes: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return labels, of which some classes may be absent, and probabilities that know a little of them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, max(1, random.integers(classes + 1)), count).astype(np.int32)
    scores = random.dirichlet(np.ones(classes), count)
    scores[np.arange(count), labels] += random.random(count)
    return labels, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(Cases)
def test_metrics_equal_the_reference(case: tuple[int, int, int]) -> None:
    labels, scores = made(*case)
    count, classes = scores.shape
    metrics = evaluate(labels, scores, are_probabilities=True)
    predicted = scores.argmax(axis=1).astype(np.int32)
    support, every = np.unique(labels), range(classes)
    assert metrics["images"] == count
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    with warnings.catch_warnings():
        # It warns of predicted classes that do not occur.
        warnings.simplefilter("ignore")
        assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics["macro_f1"] == pytest.approx(
        f1_score(labels, predicted, labels=support, average="macro", zero_division=0)
    )
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, scores, labels=every), rel=1e-6)
    expected_brier = brier_score_loss(labels, scores, labels=every, scale_by_half=False)
    assert metrics["brier"] == pytest.approx(expected_brier)
    if classes > 10:
        assert metrics["top5_accuracy"] == pytest.approx(top_k_accuracy_score(labels, scores, k=5, labels=every))
    else:
        assert metrics["top5_accuracy"] is None
    areas = [roc_auc_score(labels == each, scores[:, each]) for each in support if (labels != each).any()]
    assert metrics["roc_auc"] == (pytest.approx(np.mean(areas)) if areas else None)
    assert (confusion_matrix(labels, predicted, classes) == reference_confusion(labels, predicted, labels=every)).all()
    told = metrics["per_class"]
    reference = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=np.nan)
    for name, column in zip(("precision", "recall", "f1", "support"), reference, strict=True):
        assert [np.nan if each is None else each for each in told[name]] == pytest.approx(column, nan_ok=True)


@settings(deadline=None, max_examples=100)
@given(Cases, st.booleans(), st.sampled_from([None, 3, 1000]))
def test_intervals_hold_their_metric_and_json_is_plain(
    case: tuple[int, int, int], stratified: bool, group_count: int | None
) -> None:
    labels, scores = made(*case)
    groups = None if group_count is None else np.random.default_rng(0).integers(0, group_count, len(labels))
    metrics = evaluate(labels, scores, are_probabilities=True, groups=groups, stratified=stratified)
    json.dumps(metrics, allow_nan=False)
    assert set(metrics) == {
        "images",
        *WITHOUT_INTERVAL,
        *WITH_INTERVAL,
        *(f"{name}_interval" for name in WITH_INTERVAL),
    }
    for name in WITH_INTERVAL:
        if metrics[f"{name}_interval"] is None:
            assert metrics[name] is None or name in ("log_loss", "brier")
            continue
        low, high = metrics[f"{name}_interval"]
        assert low <= metrics[name] + 1e-9
        assert metrics[name] <= high + 1e-9
        assert low >= 0
        if name not in ("log_loss", "brier"):
            assert high <= 1 + 1e-12


@settings(deadline=None, max_examples=40)
@given(Cases, st.booleans())
def test_groups_of_one_picture_change_nothing(case: tuple[int, int, int], stratified: bool) -> None:
    labels, scores = made(*case)
    alone = np.random.default_rng(1).permutation(len(labels)) * 7 - 3
    plain = evaluate(labels, scores, are_probabilities=True, stratified=stratified)
    assert evaluate(labels, scores, are_probabilities=True, stratified=stratified, groups=alone) == plain


@settings(deadline=None, max_examples=40)
@given(Cases)
def test_the_order_of_the_pictures_does_not_matter(case: tuple[int, int, int]) -> None:
    labels, scores = made(*case)
    scores = scores.round(1)
    order = np.random.default_rng(2).permutation(len(labels))

    def numbers(metrics: Metrics) -> list[float]:
        values = [metrics[name] for name in metrics if name not in ("reliability", "per_class")]
        return list(np.hstack([np.array(each, dtype=float) for each in (*values, *metrics["reliability"])]))

    shuffled = evaluate(labels[order], scores[order], are_probabilities=True)
    straight = evaluate(labels, scores, are_probabilities=True)
    assert numbers(shuffled) == pytest.approx(numbers(straight), nan_ok=True)


def right_and_wrong(right: int, wrong: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return labels of two equal classes, and scores that are right so often, in each class alike."""
    labels = np.arange(right + wrong, dtype=np.int32) % 2
    correct = np.arange(right + wrong) < right
    predicted = np.where(correct, labels, 1 - labels)
    return labels, np.where(predicted[:, None] == [0, 1], 0.9, 0.1)


def test_the_interval_of_accuracy_is_wilsons() -> None:
    metrics = evaluate(*right_and_wrong(800, 200), are_probabilities=True)
    # Computed by hand from Wilson's formula.
    assert metrics["accuracy_interval"] == pytest.approx([0.7741, 0.8236], abs=1e-4)


def test_with_equal_classes_balanced_accuracy_is_accuracy_and_so_is_its_interval() -> None:
    metrics = evaluate(*right_and_wrong(180, 20), are_probabilities=True)
    assert metrics["balanced_accuracy_interval"] == pytest.approx(metrics["accuracy_interval"], abs=1e-6)
    assert metrics["macro_f1_interval"] == pytest.approx(metrics["accuracy_interval"], abs=2e-3)


def test_ten_of_ten_does_not_prove_a_hundred_percent() -> None:
    metrics = evaluate(*right_and_wrong(10, 0), are_probabilities=True)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc"):
        assert metrics[name] == 1.0
        low, high = metrics[f"{name}_interval"]
        assert 0.6 < low < 0.8
        assert high == 1.0
    # All losses are alike, so nothing tells how they vary.
    assert metrics["log_loss_interval"] is None


def test_ten_copies_of_one_picture_are_one_picture() -> None:
    labels, scores = right_and_wrong(10, 0)
    copies = evaluate(np.repeat(labels, 10), np.repeat(scores, 10, axis=0), are_probabilities=True)
    groups = np.repeat(np.arange(10), 10)
    grouped = evaluate(np.repeat(labels, 10), np.repeat(scores, 10, axis=0), are_probabilities=True, groups=groups)
    single = evaluate(labels, scores, are_probabilities=True)
    assert copies["accuracy_interval"][0] > 0.95
    # Student's quantile for ten makes it a little wider still.
    assert single["accuracy_interval"][0] - 0.1 < grouped["accuracy_interval"][0] <= single["accuracy_interval"][0]
    assert grouped["accuracy"] == single["accuracy"] == 1.0


def test_classes_of_a_fixed_number_narrow_the_interval_of_accuracy() -> None:
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1], 500).astype(np.int32)
    right = random.random(1000) < np.where(labels == 0, 0.99, 0.5)
    scores = np.where(np.where(right, labels, 1 - labels)[:, None] == [0, 1], 0.9, 0.1)
    fallen, fixed = (
        np.diff(evaluate(labels, scores, are_probabilities=True, stratified=each)["accuracy_interval"])[0]
        for each in (False, True)
    )
    assert fixed < 0.85 * fallen


def test_a_head_that_is_right_as_often_as_it_claims_shows_the_error_of_luck() -> None:
    random = np.random.default_rng(4)
    confidence = random.uniform(0.5, 1, 20_000)
    labels = (random.random(20_000) > confidence).astype(np.int32)
    honest = evaluate(labels, np.stack([confidence, 1 - confidence], axis=1), are_probabilities=True)
    assert honest["calibration_error"] == pytest.approx(honest["calibration_error_by_luck"], rel=0.6)
    assert len(honest["reliability"]) == 15
    assert sum(count for _, _, count in honest["reliability"]) == 20_000
    sharper = confidence**2 / (confidence**2 + (1 - confidence) ** 2)
    boasting = evaluate(labels, np.stack([sharper, 1 - sharper], axis=1), are_probabilities=True)
    assert boasting["calibration_error"] > 10 * boasting["calibration_error_by_luck"]


def test_calibration_by_hand() -> None:
    # 15 pictures make one bin: 10 are right, the mean confidence is 0.9.
    metrics = evaluate(*right_and_wrong(10, 5), are_probabilities=True)
    assert metrics["reliability"] == [[pytest.approx(0.9), pytest.approx(2 / 3), 15]]
    assert metrics["calibration_error"] == pytest.approx(0.9 - 2 / 3)


def test_what_is_undefined_is_none() -> None:
    empty = evaluate(np.zeros(0, np.int32), np.zeros((0, 2)), are_probabilities=True)
    assert empty == {
        "images": 0,
        **{f"{name}{end}": None for name in WITH_INTERVAL for end in ("", "_interval")},
        **dict.fromkeys(WITHOUT_INTERVAL),
    }
    decisions = evaluate(np.array([0, 1], np.int32), np.array([[3.0, -3.0], [-1.0, 1.0]]), are_probabilities=False)
    assert decisions["accuracy"] == decisions["roc_auc"] == 1.0
    for name in ("log_loss", "brier", "calibration_error", "reliability", "top5_accuracy"):
        assert decisions[name] is None
    one_class = evaluate(np.zeros(3, np.int32), np.tile([[0.7, 0.3]], (3, 1)), are_probabilities=True)
    assert one_class["roc_auc"] is None
    assert one_class["per_class"] == {
        "precision": [1.0, None],
        "recall": [1.0, None],
        "f1": [1.0, None],
        "support": [3, 0],
    }


def test_top_five_of_equal_scores_are_the_first_five() -> None:
    labels = np.array([4, 5], np.int32)
    metrics = evaluate(labels, np.zeros((2, 11)), are_probabilities=False)
    assert metrics["top5_accuracy"] == 0.5
