"""Choosing by luck is found out, and choosing well is not accused."""

import json

import numpy as np
import pytest
from demijohn.pipeline.statistics.selection import expect_optimism, measure_optimism


def rights(share: float, count: int) -> np.ndarray:
    """Return so many pictures of which a share is right."""
    return np.arange(count) < round(share * count)


def test_a_great_difference_is_told() -> None:
    found = measure_optimism(rights(0.95, 400), rights(0.90, 400), run="A")
    assert found.difference == pytest.approx(0.05)
    assert found.sentence == (
        "A has 95.0% on validation, which chose it, and 90.0% on test: 5.0 points less [1.3, 8.8]; "
        "the test figure is the one to expect"
    )
    json.dumps(found.to_json(), allow_nan=False)


def test_a_difference_that_luck_explains_is_not_told() -> None:
    found = measure_optimism(rights(0.95, 100), rights(0.92, 100), run="A")
    assert found.sentence is None
    assert found.interval[0] < 0 < found.difference < found.interval[1]


def test_groups_make_it_less_certain() -> None:
    groups = np.arange(400) // 20
    found = measure_optimism(
        rights(0.95, 400), rights(0.90, 400), run="A", validation_groups=groups, test_groups=groups
    )
    assert found.sentence is None


def test_one_run_owes_nothing_to_choosing() -> None:
    found = expect_optimism(rights(0.8, 200)[None])
    assert found.optimism == pytest.approx(0, abs=0.005)
    assert (found.runs, found.images, found.chosen) == (1, 200, 0)


def test_the_best_of_equals_owes_its_lead_to_choosing() -> None:
    random = np.random.default_rng(0)
    leads, expected = [], []
    for _ in range(40):
        right = random.random((20, 200)) < 0.85
        found = expect_optimism(right, draws=200)
        leads.append(found.validation - 0.85)
        expected.append(found.optimism)
    assert np.mean(expected) == pytest.approx(np.mean(leads), rel=0.2)


def test_a_run_that_is_far_better_owes_nothing_to_choosing() -> None:
    random = np.random.default_rng(1)
    right = random.random((5, 300)) < np.array([0.6, 0.6, 0.95, 0.6, 0.6])[:, None]
    found = expect_optimism(right)
    assert found.chosen == 2
    assert abs(found.optimism) < 0.005
    assert expect_optimism(right) == found
    assert "the best of 5 runs has" in found.sentence
    json.dumps(found.to_json(), allow_nan=False)


def test_groups_are_drawn_together() -> None:
    random = np.random.default_rng(2)
    right = np.repeat(random.random((10, 50)) < 0.8, 8, axis=1)
    groups = np.repeat(np.arange(50), 8)
    assert expect_optimism(right, groups=groups).optimism > 1.5 * expect_optimism(right).optimism
    alone = expect_optimism(right[:, ::8], groups=np.arange(50))
    assert alone == expect_optimism(right[:, ::8])
