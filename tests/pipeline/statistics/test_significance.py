"""The exact tests equal enumeration and scipy; Holm's adjustment equals a worked example."""

import itertools

import numpy as np
import pytest
from demijohn.pipeline.statistics.significance import holm, mcnemar, sign_flip
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

Rights = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 6)), min_size=1, max_size=40)


def enumerated(differences: list[int]) -> float:
    """Return the share of all signs whose sum is as far from zero as the observed one."""
    observed = abs(sum(differences))
    signs = itertools.product([-1, 1], repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(each, differences, strict=True))) for each in signs]
    return sum(value >= observed for value in sums) / len(sums)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5), max_size=10))
def test_random_signs_equal_their_enumeration(differences: list[int]) -> None:
    assert sign_flip(np.array(differences, dtype=np.int64)) == pytest.approx(enumerated(differences))


@settings(max_examples=60, deadline=None)
@given(Rights)
def test_mcnemar_is_the_binomial_test_of_what_only_one_has_right(rows: list[tuple[bool, bool, int]]) -> None:
    one, other = (np.array(column, dtype=bool) for column in list(zip(*rows, strict=True))[:2])
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)
    assert mcnemar(one, other, groups=np.arange(len(one)) * 3) == pytest.approx(expected)
    assert mcnemar(other, one) == mcnemar(one, other)


def test_mcnemar_by_hand() -> None:
    # 9 of 10: twice (1 + 10) / 2^10.
    one = np.array([True] * 9 + [False])
    assert mcnemar(one, ~one) == pytest.approx(22 / 1024)


def test_a_tiny_probability_is_exact() -> None:
    right = np.ones(400, dtype=bool)
    assert mcnemar(right, ~right) == pytest.approx(2.0**-399, rel=1e-9)


def test_copies_do_not_make_a_difference_more_certain() -> None:
    one = np.array([True, True, True, False])
    groups = np.arange(4)
    alone = mcnemar(one, ~one)
    copied = mcnemar(np.repeat(one, 50), np.repeat(~one, 50), groups=np.repeat(groups, 50))
    assert copied == pytest.approx(alone)
    assert mcnemar(np.repeat(one, 50), np.repeat(~one, 50)) < 1e-6


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never less than the one before.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers_a_p(values: list[float]) -> None:
    p = np.array(values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    rejected = len(p)
    for rank, value in enumerate(sorted(values)):
        if value * (len(p) - rank) >= 0.05:
            rejected = rank
            break
    assert (adjusted < 0.05).sum() == rejected
