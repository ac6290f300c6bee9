"""Thresholds: the least that gives the precision, and what is said of it is what it does."""

import numpy as np
import pytest
from demijohn.pipeline.errors import InvalidRequest
from demijohn.pipeline.statistics.rejection import find_threshold, judge_threshold
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

Case = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    pairs = draw(st.lists(st.tuples(st.integers(10, 99), st.booleans()), min_size=1, max_size=40))
    return np.array([each[0] / 100 for each in pairs]), np.array([each[1] for each in pairs])


@given(cases(), st.sampled_from([0.5, 0.75, 0.9, 1.0]))
def test_it_is_the_least_of_all_thresholds_that_reach_the_precision(case: Case, precision: float) -> None:
    confidence, right = case
    shares = {value: right[confidence >= value].mean() for value in np.unique(confidence)}
    reaching = [value for value, share in shares.items() if share >= precision - 1e-9]
    if not reaching:
        with pytest.raises(InvalidRequest, match=rf"no threshold gives .* the best is {max(shares.values()):.4g}"):
            find_threshold(precision, confidence, right)
        return
    found = find_threshold(precision, confidence, right)
    taken = confidence >= found.probability
    assert (taken == (confidence >= min(reaching))).all()
    assert (found.accepted, found.right) == (taken.sum(), right[taken].sum())
    assert found.precision is not None
    assert found.precision >= precision - 1e-9
    assert found == judge_threshold(found.probability, confidence, right)


def test_where_all_may_be_taken_nothing_is_rejected() -> None:
    found = find_threshold(0.9, np.array([0.4, 0.6]), np.array([True, True]))
    assert found.probability == 0
    assert str(found).startswith("no prediction is rejected: on validation 2 of 2 pictures are kept (100.0%)")


def test_it_tells_coverage_and_precision_with_an_interval() -> None:
    found = find_threshold(1.0, np.array([0.9, 0.8, 0.7, 0.5]), np.array([True, True, False, True]))
    assert found.probability == pytest.approx(0.75)
    assert str(found) == (
        "predictions below a probability of 0.75 are rejected: on validation 2 of 4 pictures are kept (50.0%), and "
        "100.0% of them are right [34.2, 100.0]"
    )
    assert found.to_json()["validation_coverage"] == 0.5
    nobody = judge_threshold(0.99, np.array([0.9]), np.array([True]))
    assert "that is all of 1 pictures" in str(nobody)
    assert nobody.to_json()["validation_precision"] is None


def test_without_validation_pictures_a_precision_cannot_be_promised() -> None:
    nothing = np.empty(0)
    with pytest.raises(InvalidRequest, match="--reject-below"):
        find_threshold(0.9, nothing, nothing.astype(bool))
    assert "no validation pictures" in str(judge_threshold(0.8, nothing, nothing.astype(bool)))
