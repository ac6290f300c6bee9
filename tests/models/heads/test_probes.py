"""Probes: nobody is judged by who saw it, groups are not torn, and a class that was not seen is not judged."""

import numpy as np
import pytest
from demijohn.models.heads.folds import deal_folds
from demijohn.models.heads.probes import FOLDS, probabilities_from_facts, probabilities_from_features
from numpy.typing import NDArray


def blobs(seed: int = 0, each: int = 20) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return features of three classes that lie apart, and their classes."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3, dtype=np.int32), each)
    return (np.eye(3, 6)[labels] * 6 + random.normal(size=(3 * each, 6))).astype(np.float32), labels


def test_folds_hold_every_class_and_tear_no_group() -> None:
    _, labels = blobs()
    groups = np.arange(60) // 2
    folds = deal_folds(labels, groups, FOLDS, seed=3)
    assert set(folds) == set(range(FOLDS))
    for fold in range(FOLDS):
        assert set(labels[folds == fold]) == {0, 1, 2}
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    assert (folds == deal_folds(labels, groups, FOLDS, seed=3)).all()
    assert (folds != deal_folds(labels, groups, FOLDS, seed=4)).any()


def test_with_few_groups_each_is_a_fold() -> None:
    labels = np.array([0] * 10 + [1] * 10, dtype=np.int32)
    groups = np.array([7] * 5 + [3] * 10 + [9] * 5)
    folds = deal_folds(labels, groups, FOLDS, seed=0)
    assert len({(group, fold) for group, fold in zip(groups, folds, strict=True)}) == len(set(folds)) == 3


def test_a_class_smaller_than_the_folds_makes_no_noise() -> None:
    labels = np.array([0] * 10 + [1] * 2, dtype=np.int32)
    assert len(deal_folds(labels, np.arange(12), FOLDS, seed=0)) == 12


@pytest.mark.parametrize("probe", [probabilities_from_features, probabilities_from_facts])
def test_classes_that_lie_apart_are_told_out_of_fold(probe: object) -> None:
    X, labels = blobs()
    folds = deal_folds(labels, np.arange(60), FOLDS, seed=0)
    probabilities = probe(X, labels, folds, seed=0)  # type: ignore[operator]
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.9
    np.testing.assert_array_equal(probabilities, probe(X, labels, folds, seed=0))  # type: ignore[operator]


@pytest.mark.parametrize("probe", [probabilities_from_features, probabilities_from_facts])
def test_a_picture_does_not_vouch_for_itself(probe: object) -> None:
    """Random labels cannot be told; a probe that had seen the picture would tell them."""
    random = np.random.default_rng(1)
    X = random.normal(size=(200, 150)).astype(np.float32)
    labels = random.integers(0, 2, 200).astype(np.int32)
    folds = deal_folds(labels, np.arange(200), FOLDS, seed=0)
    probabilities = probe(X, labels, folds, seed=0)  # type: ignore[operator]
    assert 0.35 < (probabilities.argmax(axis=1) == labels).mean() < 0.65


def test_what_no_training_row_shows_is_not_judged() -> None:
    X, labels = blobs()
    folds = np.where(labels == 2, 0, 1 + np.arange(60) % 4).astype(np.int32)
    probabilities = probabilities_from_features(X, labels, folds, seed=0)
    assert np.isnan(probabilities[labels == 2]).all()
    assert not np.isnan(probabilities[labels != 2]).any()


def test_unknown_facts_are_taken() -> None:
    X, labels = blobs()
    facts = X.astype(np.float64)
    facts[::7, 0] = np.nan
    folds = deal_folds(labels, np.arange(60), FOLDS, seed=0)
    assert (probabilities_from_facts(facts, labels, folds, seed=0).argmax(axis=1) == labels).mean() > 0.8
