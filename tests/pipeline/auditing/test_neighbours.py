"""Neighbours: blocked search equals the plain one, twins elsewhere are not hidden, outliers stand out."""

import numpy as np
import pytest
from demijohn.pipeline.auditing import neighbours
from demijohn.pipeline.auditing.neighbours import find_candidates, join, nearest, outlier_scores, scale_rows
from numpy.typing import NDArray


def rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return scaled random features."""
    return scale_rows(np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32))


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    X = rows(40)
    members, among = np.arange(0, 40, 2), np.arange(5, 33)
    positions, cosines = nearest(X, members, among, count=4)
    full = X @ X.T
    np.fill_diagonal(full, -np.inf)
    for at, member in enumerate(members):
        expected = among[np.argsort(-full[member, among])[:4]]
        assert positions[at].tolist() == expected.tolist()
        np.testing.assert_allclose(cosines[at], full[member, expected], rtol=1e-5)


def test_none_is_its_own_neighbour_and_missing_ones_are_said() -> None:
    X = rows(3)
    positions, cosines = nearest(X, np.arange(3), np.arange(3), count=5)
    assert (positions != np.arange(3)[:, None]).all()
    assert (positions[:, 2:] == -1).all()
    assert np.isneginf(cosines[:, 2:]).all()
    positions, _ = nearest(X, np.arange(3), np.arange(3), count=2, least=1.1)
    assert (positions == -1).all()


def test_many_twins_in_its_own_split_do_not_hide_the_one_in_another() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 12)).astype(np.float32)
    X[:20] = X[0] + 0.01 * random.normal(size=(20, 12))
    X[59] = X[0] + 0.1 * random.normal(size=12)
    pairs, cosines = find_candidates(scale_rows(X), ["train"] * 50 + ["test"] * 10)
    assert [0, 59] in pairs.tolist()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert (np.diff(cosines) <= 0).all()
    assert len(pairs) == len(np.unique(pairs, axis=0))


def test_the_number_of_pairs_is_bounded() -> None:
    X = np.ones((200, 12), dtype=np.float32) + 1e-3 * rows(200)
    X[100:] *= -1
    pairs, _ = find_candidates(scale_rows(X), ["train"] * 200)
    assert 0 < len(pairs) <= neighbours.CANDIDATES * 200


def test_without_pictures_there_are_no_pairs() -> None:
    pairs, cosines = find_candidates(np.empty((0, 4), dtype=np.float32), [])
    assert pairs.shape == (0, 2)
    assert len(cosines) == 0


def test_joining_follows_chains() -> None:
    groups = join(6, [(0, 1), (4, 1), (2, 5)])
    assert groups[0] == groups[1] == groups[4]
    assert groups[2] == groups[5]
    assert len(set(groups.tolist())) == 3
    assert join(0, []).tolist() == []


def test_what_lies_apart_from_its_class_is_an_outlier() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(2, dtype=np.int32), 30)
    X = (np.eye(2, 20)[labels] * 5 + 0.5 * random.normal(size=(60, 20))).astype(np.float32)
    X[3] = np.eye(2, 20)[1] * 5
    scores = outlier_scores(scale_rows(X), labels)
    assert scores.argmax() == 3
    assert scores[3] > neighbours.OUTLYING
    assert np.median(scores) < 1


def test_small_classes_and_pictures_without_one_have_no_score() -> None:
    labels = np.array([0] * 10 + [1] * 4 + [-1] * 3, dtype=np.int32)
    scores = outlier_scores(rows(17), labels)
    assert not np.isnan(scores[:10]).any()
    assert np.isnan(scores[10:]).all()


def test_a_class_of_copies_has_no_outliers() -> None:
    X = np.tile(np.arange(6, dtype=np.float32), (20, 1))
    X[10:] *= -1
    scores = outlier_scores(scale_rows(X), np.repeat(np.arange(2, dtype=np.int32), 10))
    assert np.abs(scores).max() < 1
