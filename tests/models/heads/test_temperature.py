"""Temperature: the minimum of a loss, tested by what it must do."""

import numpy as np
import pytest
from demijohn.models.heads.temperature import calibrate, fit_temperature
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray


def soften(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    return calibrate(logits, temperature, are_probabilities=False)


def fit(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return fit_temperature(logits, labels, are_probabilities=False)


def sample(classes: int, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return logits of a head that is right as often as it claims, and labels drawn by its probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    drawn = (soften(logits, 1.0).cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    return logits, np.minimum(drawn, classes - 1)


def smoothed_loss(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> float:
    """Return the log loss where one picture of n is taken for wrong, as likely in each class."""
    count, classes = logits.shape
    targets = np.full((count, classes), 1 / (count + 1) / classes)
    targets[np.arange(count), labels] += count / (count + 1)
    return float(-(targets * np.log(soften(logits, temperature))).sum(axis=1).mean())


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_a_head_that_claims_a_factor_too_much_gets_that_factor_back(factor: float) -> None:
    logits, labels = sample(4, 20_000, 0)
    assert fit(logits * factor, labels) == pytest.approx(factor, rel=0.05)


@given(st.integers(2, 6), st.integers(5, 60), st.integers(0, 1000))
def test_no_other_temperature_fits_better(classes: int, count: int, seed: int) -> None:
    logits, labels = sample(classes, count, seed)
    temperature = fit(logits, labels)
    best = smoothed_loss(logits, labels, temperature)
    assert all(best <= smoothed_loss(logits, labels, temperature * other) + 1e-4 for other in (0.5, 0.97, 1.03, 2))


@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_scale_goes_into_the_temperature_and_an_offset_into_nothing(scale: float, offset: float) -> None:
    logits, labels = sample(3, 50, 1)
    expected = soften(logits, fit(logits, labels))
    moved = logits * scale + offset
    assert np.allclose(soften(moved, fit(moved, labels)), expected, atol=1e-4)


@pytest.mark.parametrize("count", [3, 30, 3000])
def test_where_all_are_right_one_of_so_many_might_have_been_wrong(count: int) -> None:
    logits = np.tile([5.0, 0.0, 0.0], (count, 1))
    probabilities = soften(logits, fit(logits, np.zeros(count, dtype=int)))
    assert probabilities[:, 0] == pytest.approx(1 - 2 / 3 / (count + 1), abs=1e-4)


def test_scores_that_say_nothing_or_the_contrary_give_equal_probabilities() -> None:
    labels = np.array([0, 1, 0, 1])
    for logits in (np.zeros((4, 2)), np.array([[0.0, 1.0], [1.0, 0.0]] * 2)):
        assert np.allclose(soften(logits, fit(logits, labels)), 0.5, atol=2e-3)


def test_probabilities_come_back_at_temperature_one_and_order_never_changes() -> None:
    probabilities = soften(sample(5, 40, 2)[0], 1.0)
    assert np.allclose(calibrate(probabilities, 1.0, are_probabilities=True), probabilities)
    for temperature in (0.05, 3.0, 50.0):
        other = calibrate(probabilities, temperature, are_probabilities=True)
        assert (other.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    certain = calibrate(np.array([[1.0, 0.0]]), 0.5, are_probabilities=True)
    assert np.allclose(certain, [[1.0, 0.0]])
