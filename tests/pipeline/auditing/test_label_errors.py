"""Label errors: confident learning, checked by hand on a few rows."""

import numpy as np
from demijohn.pipeline.auditing.label_errors import find_suspects

# The mean probability of label 0 among rows with label 0 is (0.9 + 0.8 + 0.1) / 3 = 0.6, that of label 1
# among rows with label 1 (0.9 + 0.7 + 0.45) / 3 = 0.683.
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.3, 0.7], [0.55, 0.45]])
LABELS = np.array([0, 0, 0, 1, 1, 1], dtype=np.int32)


def test_the_least_probable_label_comes_first_and_only_confident_ones_count() -> None:
    first, second = find_suspects(PROBABILITIES, LABELS)
    assert (first.position, first.suggested, first.given_probability, first.suggested_probability) == (2, 1, 0.1, 0.9)
    assert first.confident
    # 0.55 for class 0 is the greatest, but less than the 0.6 of pictures with that label.
    assert (second.position, second.suggested, second.confident) == (5, 0, False)


def test_of_several_confident_classes_the_most_probable_counts() -> None:
    probabilities = np.array([[0.5, 0.4, 0.1], [0.4, 0.5, 0.1], [0.1, 0.1, 0.8]])
    assert find_suspects(probabilities, np.array([0, 1, 2], dtype=np.int32)) == []
    assert [each.position for each in find_suspects(probabilities, np.array([1, 1, 2], dtype=np.int32))] == [0]


def test_rows_that_were_not_judged_are_left_out() -> None:
    probabilities = PROBABILITIES.copy()
    probabilities[2] = np.nan
    assert [each.position for each in find_suspects(probabilities, LABELS)] == [5]
    assert find_suspects(np.full((2, 2), np.nan), np.array([0, 1], dtype=np.int32)) == []


def test_ties_keep_the_order_of_the_rows() -> None:
    probabilities = np.tile([[0.2, 0.8]], (4, 1))
    assert [each.position for each in find_suspects(probabilities, np.zeros(4, dtype=np.int32))] == [0, 1, 2, 3]
