"""Copies are one picture, unrelated pictures are as many as they are."""

import numpy as np
import pytest
from demijohn.pipeline.statistics.evidence import Sampling
from demijohn.pipeline.statistics.intervals import mean_of_values


def test_the_design_effect_of_copies_is_their_number() -> None:
    random = np.random.default_rng(1)
    residuals = np.repeat(random.normal(size=500), 4)
    effect = Sampling.of(2000, np.repeat(np.arange(500), 4)).effect(residuals - residuals.mean())
    assert effect == pytest.approx(4, rel=0.03)
    unrelated = random.normal(size=2000)
    assert 1 <= Sampling.of(2000, np.repeat(np.arange(500), 4)).effect(unrelated - unrelated.mean()) < 1.2


def test_one_group_is_one_picture() -> None:
    assert Sampling.of(50, np.zeros(50, dtype=np.int64)).effect(np.zeros(50)) == 50
    assert mean_of_values(np.arange(5.0), Sampling.of(5, np.zeros(5, dtype=np.int64))) is None
