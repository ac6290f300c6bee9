"""Standardisation: mean zero and deviation one where that is sound, and nothing blows up where it is not."""

import numpy as np
import pytest
from demijohn.models.heads.scaling import FLOOR, floor_deviation, make_scaler, measure_features
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

Matrix = NDArray[np.float32]

numbers = st.floats(-1e3, 1e3, width=32).filter(lambda number: number == 0 or abs(number) > 1e-3)
matrices = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=numbers)


def fit_scaler(X: Matrix) -> StandardScaler:
    """Return the scaler of rows that all count once."""
    mean, deviation = measure_features(X, np.ones((1, len(X))))
    scaler: StandardScaler = make_scaler(mean[0], floor_deviation(deviation)[0])
    return scaler


def draw(rows: int = 1000, width: int = 20, seed: int = 0) -> Matrix:
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, width)) * random.uniform(0.5, 2, width) + random.normal(size=width)).astype("f4")


def test_ordinary_features_have_mean_zero_and_deviation_one() -> None:
    X = draw()
    scaled = fit_scaler(X).transform(X)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-4)


def test_a_feature_that_is_nearly_always_zero_does_not_blow_up() -> None:
    X = draw()
    X[:, 3] = 0
    X[17, 3] = 1.0
    scaler = fit_scaler(X)
    assert np.abs(scaler.transform(X)).max() < 10
    assert scaler.scale_[3] == pytest.approx(FLOOR * np.median(X.std(axis=0)), rel=0.01)
    # Divided by its own deviation it would be this far away.
    assert (X[17, 3] - X[:, 3].mean()) / X[:, 3].std() > 30
    others = np.arange(X.shape[1]) != 3
    np.testing.assert_allclose(scaler.scale_[others], X[:, others].std(axis=0), rtol=1e-5)


def test_a_constant_feature_stays_small_when_it_varies_later() -> None:
    X = draw()
    X[:, 5] = 7
    scaler = fit_scaler(X)
    assert (scaler.transform(X)[:, 5] == 0).all()
    X[0, 5] = 8
    assert 0.1 < scaler.transform(X)[0, 5] < 10


@pytest.mark.parametrize("value", [0, 0.1, 1 / 3, 123.456, 1e6, 1e-6, 3e38])
@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_all_features_constant(value: float, rows: int) -> None:
    X = np.full((rows, 4), value, np.float32)
    scaler = fit_scaler(X)
    np.testing.assert_allclose(scaler.transform(X), 0, atol=1e-6)
    assert (scaler.scale_ == 1).all()


@given(matrices)
def test_it_is_finite_and_never_divides_by_less_than_a_share_of_the_median(X: Matrix) -> None:
    scaler = fit_scaler(X)
    scaled = scaler.transform(X)
    assert np.isfinite(scaled).all()
    assert (scaler.scale_ > 0).all()
    deviation = measure_features(X, np.ones((1, len(X))))[1][0]
    assert (scaler.scale_ >= deviation * (1 - 1e-6)).all()
    if (deviation > 0).any():
        assert scaler.scale_.min() >= FLOOR * np.median(deviation[deviation > 0]) * (1 - 1e-6)
    assert np.abs(scaled).max() <= np.sqrt(len(X)) + 1e-2, "no row is further away than one row among n can be"


@given(matrices, st.sampled_from([0.125, 0.5, 2.0, 64.0]))
def test_the_unit_of_the_features_does_not_matter(X: Matrix, factor: float) -> None:
    np.testing.assert_allclose(
        fit_scaler(X * np.float32(factor)).transform(X * np.float32(factor)), fit_scaler(X).transform(X), atol=1e-4
    )


def test_the_order_of_rows_and_the_features_given_stay() -> None:
    X = draw()
    before = X.copy()
    fit_scaler(X).transform(X)
    assert (before == X).all()
