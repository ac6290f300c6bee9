"""What fine-tuning gained is judged picture by picture, and said in a sentence."""

import re
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache.part import keys_to_array
from demijohn.cache.runs import Predictions, Run, write_predictions
from demijohn.pipeline.finetuning.worth import judge_worth

COUNT = 400


def predictions(right: np.ndarray, *, split: int = 2) -> Predictions:
    labels = np.zeros(COUNT, dtype=np.int32)
    predicted = np.where(right, 0, 1).astype(np.int32)
    keys = keys_to_array([number.to_bytes(32, "big") for number in range(1, COUNT + 1)])
    scores = np.eye(2, dtype=np.float32)[predicted]
    return Predictions(keys, labels, np.full(COUNT, split, np.uint8), predicted, scores, True)


@pytest.fixture
def parent(tmp_path: Path) -> Run:
    """Return a head that has 300 of 400 right."""
    write_predictions(tmp_path / "predictions.h5", predictions(np.arange(COUNT) < 300))
    return Run("logistic-x-1", tmp_path, {})


@pytest.mark.parametrize(
    ("right", "sentence", "shown"),
    [
        (np.arange(COUNT) < 340, r"fine-tuning gained 10\.0 points \[7\.\d, 1\d\.\d\] of test .* over logistic-x-1 "
         "for 41 minutes: the gain is shown", True),
        (np.arange(COUNT) < 302, r"gained 0\.5 points \[-?\d\.\d, \d\.\d\] .*: not shown to be worth it", False),
        (np.arange(COUNT) < 299, r"lost 0\.2 points \[-\d\.\d, \d\.\d\] .*: not shown to be worth it", False),
        (np.arange(COUNT) < 250, r"lost 12\.5 points \[9\.\d, 1\d\.\d\] .*: it is shown to be worse", False),
    ],
)  # fmt: skip
def test_the_sentence(parent: Run, right: np.ndarray, sentence: str, shown: bool) -> None:
    worth = judge_worth("fine-tuned-x-2", predictions(right), parent, seconds=41 * 60)
    assert worth is not None
    assert re.search(sentence, worth.sentence), worth.sentence
    assert worth.shown is shown
    assert worth.images == COUNT
    assert worth.difference == pytest.approx(right.mean() - 0.75)


def test_pictures_of_one_group_are_less_evidence(parent: Run) -> None:
    right = np.arange(COUNT) < 340
    alone, grouped = (
        judge_worth("x", predictions(right), parent, seconds=1, groups=groups)
        for groups in (None, np.arange(COUNT, dtype=np.int64) // 20)
    )
    assert alone is not None
    assert grouped is not None
    assert grouped.interval[1] - grouped.interval[0] > 1.5 * (alone.interval[1] - alone.interval[0])


def test_without_pictures_to_judge_by_nothing_is_said(parent: Run) -> None:
    assert judge_worth("x", predictions(np.arange(COUNT) < 1, split=0), parent, seconds=1) is None
