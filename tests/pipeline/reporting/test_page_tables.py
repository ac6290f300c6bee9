"""Tables of the page: nothing is lost on the way, and what points left is worse."""

import re

import numpy as np
import pytest
from demijohn.pipeline.reporting.page_tables import FOREST, list_confusion, list_differences
from demijohn.pipeline.statistics.evaluation import confusion_matrix
from hypothesis import given
from hypothesis import strategies as st


@given(classes=st.integers(2, 60), count=st.integers(1, 300), seed=st.integers(0, 99))
def test_a_confusion_matrix_shows_every_pair_that_occurs(classes: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, predicted = random.integers(0, classes, (2, count)).astype(np.int32)
    counts = confusion_matrix(labels, predicted, classes)
    shown = list_confusion(counts, [f"class {index}" for index in range(classes)])
    if shown.rows:
        assert [[cell for cell, _ in line] for _, line in shown.rows] == counts.tolist()
        assert all(0 <= share <= 1 for _, line in shown.rows for _, share in line)
    else:
        squares = [square for _, path in shown.levels for square in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)]
        assert {(int(y), int(x)) for x, y in squares} == {(y, x) for y, x in np.argwhere(counts).tolist()}
        assert len(squares) == np.count_nonzero(counts)
        assert all(0 < opacity <= 1 for opacity, _ in shown.levels)


@pytest.mark.parametrize(
    ("verdict", "difference", "interval", "kind", "told"),
    [
        ("better", 0.05, [0.02, 0.08], "worse", "worse"),
        ("worse", -0.05, [-0.08, -0.02], "better", "better"),
        ("no difference shown", 0.01, [-0.02, 0.04], "open", "no difference shown"),
    ],
)
def test_a_difference_is_read_from_the_other_side(
    verdict: str, difference: float, interval: list[float], kind: str, told: str
) -> None:
    comparison = {"one": "a", "other": "b", "images": 1000, "difference": difference, "family_interval": interval}
    forest = list_differences([{**comparison, "p_adjusted": 0.5, "verdict": verdict}], {"a": "A", "b": "B"})
    assert forest is not None
    (row,) = forest.rows
    assert (forest.best, row.name, row.kind, row.verdict) == ("A", "B", kind, told)
    assert 0 <= row.left < row.middle < row.right <= FOREST
    assert (row.middle < forest.zero) == (difference > 0)
    assert (row.right < forest.zero) == (kind == "worse")
    assert (row.left > forest.zero) == (kind == "better")


def test_without_comparisons_there_is_no_plot() -> None:
    assert list_differences([], {}) is None
