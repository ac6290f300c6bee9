"""The pictures that are shown: a fair sample, and the worst first."""

from collections import Counter

import numpy as np
import pytest
from demijohn.cache.part import keys_from_array
from demijohn.cache.runs import Predictions
from demijohn.pipeline.reporting.gallery import MISTAKES, PER_PAIR, SAMPLE, UNSURE, choose_judged, choose_pictures
from hypothesis import given
from hypothesis import strategies as st


def predictions(count: int, classes: int, *, seed: int = 0, probable: bool = True) -> Predictions:
    """Return random predictions over three splits, ordered by split and key."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(classes), count) if probable else random.normal(size=(count, classes))
    keys = np.array([random.bytes(31) + b"\0" for _ in range(count)], dtype="S32")
    splits = np.sort(random.integers(0, 3, count)).astype(np.uint8)
    return Predictions(
        keys=keys,
        labels=random.integers(0, classes, count).astype(np.int32),
        splits=splits,
        predicted=scores.argmax(axis=1).astype(np.int32),
        scores=scores.astype(np.float32),
        are_probabilities=probable,
    )


NAMES = [f"class {index}" for index in range(40)]


@given(count=st.integers(1, 300), classes=st.integers(2, 40), seed=st.integers(0, 99), probable=st.booleans())
def test_whatever_the_predictions_the_pictures_are_theirs(count: int, classes: int, seed: int, probable: bool) -> None:
    judged = choose_judged(predictions(count, classes, seed=seed, probable=probable))
    gallery = choose_pictures(judged, NAMES[:classes])
    keys = keys_from_array(judged.keys)
    truth = {key: NAMES[label] for key, label in zip(keys, judged.labels, strict=True)}
    told = {key: NAMES[label] for key, label in zip(keys, judged.predicted, strict=True)}
    pairs = [picture for pair in gallery.pairs for picture in pair.pictures]
    for picture in (*gallery.sample, *gallery.mistakes, *gallery.unsure, *pairs):
        assert (picture.truth, picture.predicted) == (truth[picture.key], told[picture.key])
        assert picture.is_right == (picture.truth == picture.predicted)
        assert (picture.probability is None) == (not probable)
    wrong = int((judged.labels != judged.predicted).sum())
    assert gallery.errors == wrong
    assert len(gallery.mistakes) == min(wrong, MISTAKES)
    assert len(gallery.sample) == min(len(judged.keys), SAMPLE)
    assert len(gallery.unsure) == min(len(judged.keys), UNSURE)
    assert not any(picture.is_right for picture in (*gallery.mistakes, *pairs))
    assert len(gallery.keys) <= SAMPLE + MISTAKES + UNSURE + len(pairs)


def test_the_judged_are_those_of_the_last_split_by_key() -> None:
    whole = predictions(90, 3)
    judged = choose_judged(whole)
    assert set(judged.splits) == {2}
    assert sorted(judged.keys) == list(judged.keys)
    assert set(judged.keys) == set(whole.keys[whole.splits == 2])


def test_the_sample_takes_the_classes_in_turn() -> None:
    judged = choose_judged(predictions(900, 4))
    counts = Counter(picture.truth for picture in choose_pictures(judged, NAMES[:4]).sample)
    assert set(counts.values()) == {SAMPLE // 4}


def test_the_surest_mistake_comes_first_and_the_closest_call_is_the_least_sure() -> None:
    judged = Predictions(
        keys=np.array([b"%032d" % i for i in range(5)], dtype="S32"),
        labels=np.array([0, 0, 1, 1, 0], dtype=np.int32),
        splits=np.zeros(5, dtype=np.uint8),
        predicted=np.array([0, 1, 0, 1, 1], dtype=np.int32),
        scores=np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.49, 0.51], [0.01, 0.99]], dtype=np.float32),
        are_probabilities=True,
    )
    gallery = choose_pictures(judged, ["cat", "dog"])
    assert [picture.key[-1:] for picture in gallery.mistakes] == [b"4", b"2", b"1"]
    assert [picture.key[-1:] for picture in gallery.unsure] == [b"3", b"1", b"2", b"0", b"4"]
    assert [(pair.truth, pair.predicted, pair.count, pair.support) for pair in gallery.pairs] == [
        ("cat", "dog", 2, 3),
        ("dog", "cat", 1, 2),
    ]
    assert gallery.mistakes[0].own == pytest.approx(0.01)
    assert all(len(pair.pictures) <= PER_PAIR for pair in gallery.pairs)
