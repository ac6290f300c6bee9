"""The intervals hold exactly what their tests do not contradict."""

import numpy as np
import pytest
from demijohn.pipeline.statistics.evidence import Sampling
from demijohn.pipeline.statistics.intervals import (
    independent_difference,
    mean_of_shares,
    mean_of_values,
    paired_difference,
    share,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

Counts = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=6)


@given(st.integers(0, 200), st.integers(1, 200))
def test_a_share_has_the_interval_of_wilson(hits: int, count: int) -> None:
    assume(hits <= count)
    reference = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert share(hits / count, count) == pytest.approx((reference.low, reference.high), abs=1e-12)
    arrays = np.array([float(hits)]), np.array([float(count)]), np.ones(1)
    assert mean_of_shares(*arrays) == pytest.approx((reference.low, reference.high), abs=1e-7)


@settings(deadline=None)
@given(Counts, st.integers(0, 1000))
def test_a_mean_of_shares_holds_its_mean_and_mirrors(pairs: list[tuple[int, int]], seed: int) -> None:
    numbers = np.array([float(count) for _, count in pairs])
    hits = np.minimum([float(hit) for hit, _ in pairs], numbers)
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(pairs))) + 1e-3
    weights /= weights.sum()
    low, high = mean_of_shares(hits, numbers, weights)
    observed = float((weights * hits / numbers).sum())
    assert 0 <= low <= observed + 1e-9
    assert observed - 1e-9 <= high <= 1
    mirrored = mean_of_shares(numbers - hits, numbers, weights)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-7)
    wider = mean_of_shares(hits, numbers, weights, confidence=0.99)
    assert wider[0] <= low + 1e-9
    assert wider[1] >= high - 1e-9


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 400))
def test_a_paired_difference_ends_where_the_score_test_does(gained: int, lost: int, alike: int) -> None:
    count = gained + lost + alike
    assume(count)
    low, high = paired_difference(gained, lost, count)
    assert -1 <= low <= (gained - lost) / count <= high <= 1
    assert paired_difference(lost, gained, count) == (-high, -low)
    if low > -1 + 1e-9:
        # The likeliest table with this difference, found without the closed form.
        shares = np.linspace(max(0.0, -low), (1 - low) / 2, 20_001)
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = sum(
                np.where(number == 0, 0, number * np.log(part))
                for number, part in ((lost, shares), (gained, shares + low), (alike, 1 - 2 * shares - low))
            )
        best = shares[np.nanargmax(likelihood)]
        z = (gained - lost - count * low) / np.sqrt(count * (2 * best + low * (1 - low)))
        assert z == pytest.approx(1.95996, abs=0.02)


def test_identical_runs_may_still_differ_by_what_so_few_pictures_hide() -> None:
    low, high = paired_difference(0, 0, 200)
    square = norm.ppf(0.975) ** 2
    assert (low, high) == pytest.approx((-square / (200 + square), square / (200 + square)), abs=1e-6)


def test_the_interval_of_a_mean_leans_to_the_side_of_the_skew() -> None:
    random = np.random.default_rng(0)
    values = random.exponential(size=100) ** 2
    low, high = mean_of_values(values, Sampling.of(100)) or (np.nan, np.nan)
    assert low < values.mean() < high
    assert high - values.mean() > 1.3 * (values.mean() - low)
    symmetric = np.concatenate([values, -values])
    low, high = mean_of_values(symmetric, Sampling.of(200)) or (np.nan, np.nan)
    assert low == pytest.approx(-high)


def test_a_difference_of_different_pictures_by_hand() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table II, method 10: 56/70 against 48/80.
    assert independent_difference(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
