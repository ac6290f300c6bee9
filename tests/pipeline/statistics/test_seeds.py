"""The luck of training and of the test pictures are told apart."""

import json

import numpy as np
import pytest
from demijohn.pipeline.statistics.seeds import compare_seeds, separate_seeds
from numpy.typing import NDArray


def trained(
    seeds: int, images: int, *, accuracy: float = 0.9, luck: float = 0.0, seed: int = 0, hard: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return what runs have right: `hard` is shared, `luck` is the deviation of accuracy from seed to seed."""
    random = np.random.default_rng(seed)
    level = accuracy + luck * random.normal(size=(seeds, 1))
    # Half of how hard a picture is belongs to the picture, half to the run.
    own = random.random((seeds, images))
    return np.where(random.random((seeds, images)) < 0.5, hard, own) < level


def test_the_luck_of_training_is_found() -> None:
    hard = np.random.default_rng(1).random(4000)
    found = separate_seeds(trained(40, 4000, luck=0.03, hard=hard))
    assert found.between_seeds == pytest.approx(0.03, rel=0.35)
    assert found.test_sample == pytest.approx(np.sqrt(0.9 * 0.1 / 4000), rel=0.1)
    assert "over 40 seeds; another seed changes it by" in found.sentence
    json.dumps(found.to_json(), allow_nan=False)


def test_where_training_has_no_luck_none_is_found() -> None:
    hard = np.random.default_rng(2).random(4000)
    found = separate_seeds(trained(40, 4000, hard=hard))
    assert found.between_seeds is not None
    assert found.between_seeds < 0.003


def test_few_seeds_with_luck_widen_the_interval() -> None:
    hard = np.random.default_rng(3).random(2000)
    steady, lucky = (separate_seeds(trained(3, 2000, luck=luck, hard=hard)) for luck in (0.0, 0.04))
    assert np.diff(lucky.interval)[0] > 3 * np.diff(steady.interval)[0]
    assert lucky.interval[0] < lucky.mean < lucky.interval[1]


def test_one_seed_says_nothing_of_luck() -> None:
    right = np.arange(200) < 180
    found = separate_seeds(right[None])
    assert found.between_seeds is None
    assert found.interval == pytest.approx((0.8506, 0.9344), abs=2e-3)
    assert found.sentence.endswith("with one seed: how much of it is luck of training is not known")


def test_all_right_does_not_prove_a_hundred_percent() -> None:
    found = separate_seeds(np.ones((3, 50), dtype=bool))
    assert found.interval[0] < 0.95
    assert (found.between_seeds, found.test_sample) == (0.0, 0.0)


def test_groups_widen_the_interval() -> None:
    hard = np.random.default_rng(4).random(100)
    right = np.repeat(np.tile(hard < 0.8, (3, 1)), 5, axis=1)
    groups = np.repeat(np.arange(100), 5)
    assert np.diff(separate_seeds(right, groups=groups).interval)[0] > 1.8 * np.diff(separate_seeds(right).interval)[0]


def test_settings_are_better_only_where_seeds_allow_it() -> None:
    hard = np.random.default_rng(5).random(2000)
    one = trained(3, 2000, luck=0.03, hard=hard, seed=6)
    assert not compare_seeds(one, trained(3, 2000, luck=0.03, hard=hard, seed=7)).shown
    better = compare_seeds(trained(5, 2000, accuracy=0.95, hard=hard, seed=8), trained(5, 2000, hard=hard, seed=9))
    assert better.shown
    assert better.difference == pytest.approx(0.05, abs=0.02)
    json.dumps(better.to_json(), allow_nan=False)
    with pytest.raises(ValueError, match="expected at least 2 seeds of both settings, received 1 and 3"):
        compare_seeds(one[:1], one)
