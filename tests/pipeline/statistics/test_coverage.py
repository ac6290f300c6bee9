"""Intervals of 95 % hold the truth in 95 of 100 worlds, and tests are wrong in 5 of 100 at most."""

import numpy as np
import pytest
from demijohn.pipeline.assessment.flags import Role, Standing, find_flags
from demijohn.pipeline.statistics.pairs import Judged
from support.coverage import (
    CLASSIFIERS,
    DIFFERENCES,
    EXACT,
    GROUPED,
    LOSSES,
    World,
    coverage,
    exact_coverage,
    false_alarms,
    wrong_families,
)

pytestmark = pytest.mark.slow
DRAWS = 2000
LUCK = 0.01
"""Two standard deviations of a share of 0.95 in so many draws."""
SOUND: dict[Role, float] = {"run": 0.9, "neighbours": 0.91, "majority": 0.5, "shuffled": 0.5, "facts": 0.51}
"""Accuracies where nothing is wrong."""


@pytest.mark.parametrize(("accuracy", "count"), EXACT)
def test_of_accuracy_exactly(accuracy: float, count: int) -> None:
    assert 0.93 < exact_coverage(accuracy, count) < 0.971


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_of_a_classifier(name: str) -> None:
    held = coverage(CLASSIFIERS[name](), DRAWS)
    # The area under the curve stands on the safe side, since luck shows no variance near 1 (docs/intervals.md).
    assert held.pop("roc_auc") >= 0.93
    for metric, share in held.items():
        assert 0.93 <= share <= 0.97 + LUCK, metric


@pytest.mark.parametrize("world", GROUPED, ids=lambda world: world.name)
def test_of_pictures_that_belong_together(world: World) -> None:
    held = coverage(world, DRAWS)
    for name, share in held.items():
        # Few groups, two values of loss: the transformation of the skew is then too careful.
        assert 0.93 <= share <= (0.985 if name in LOSSES else 0.97 + LUCK), name


@pytest.mark.parametrize("world", DIFFERENCES, ids=lambda world: world.name)
def test_of_differences_and_seeds(world: World) -> None:
    for name, share in coverage(world, DRAWS).items():
        assert 0.93 <= share <= 0.97 + LUCK, name


@pytest.mark.parametrize(("share", "size"), [(0.1, 1), (0.04, 1), (0.3, 1), (0.1, 4)])
def test_mcnemar_is_wrong_in_one_of_twenty_at_most(share: float, size: int) -> None:
    assert false_alarms(DRAWS, 200, share, size=size) <= 0.05 + LUCK


@pytest.mark.parametrize("accuracies", [[0.9] * 5, [0.9, 0.9, 0.9, 0.75], [0.95] * 3 + [0.8] * 3])
def test_a_family_is_wrong_in_one_of_twenty_at_most(accuracies: list[float]) -> None:
    assert wrong_families(400, accuracies, 250) <= 0.05 + 2 * LUCK


def test_a_sound_report_is_flagged_in_one_of_twenty_at_most() -> None:
    random = np.random.default_rng(0)
    keys = np.array([f"{i:032d}" for i in range(300)], dtype="S32")
    flagged = 0
    for _ in range(400):
        standings = [
            Standing(Judged(role, keys, random.random(300) < accuracy), role, features="a")
            for role, accuracy in SOUND.items()
        ]
        flagged += bool(find_flags(standings))
    assert flagged / 400 <= 0.05 + 2 * LUCK
