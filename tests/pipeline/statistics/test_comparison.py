"""Verdicts agree with their tests and intervals, from both sides, and luck of training claims nothing."""

import hashlib
import json

import numpy as np
import pytest
from demijohn.pipeline.errors import InvalidRequest
from demijohn.pipeline.statistics.comparison import accuracy_difference, compare_runs, judge_equivalence
from demijohn.pipeline.statistics.pairs import Judged, pair_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def keys_of(count: int, start: int = 0) -> NDArray[np.bytes_]:
    """Return keys as they are stored."""
    return np.array([hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(start, start + count)], "S32")


def judged(run: str, right: NDArray[np.bool_] | list[bool], **more: object) -> Judged:
    """Return a run that judged the first pictures."""
    return Judged(run, keys_of(len(right)), np.array(right, dtype=bool), **more)  # type: ignore[arg-type]


def counts(gained: int, lost: int, both: int) -> tuple[Judged, Judged]:
    """Return two runs by how many pictures only the one, only the other, and both have right."""
    one = [True] * gained + [False] * lost + [True] * both
    other = [False] * gained + [True] * lost + [True] * both
    return judged("A", one), judged("B", other)


def test_a_run_that_is_better_is_called_so() -> None:
    (found,) = compare_runs(counts(40, 16, 1944))
    assert found.sentence == "A is better than B by 1.2 points [0.5, 2.0]"
    assert (found.verdict, found.images) == ("better", 2000)
    assert found.difference == pytest.approx(0.012)
    assert found.interval == found.family_interval
    assert found.p == found.p_adjusted < 0.05


def test_a_difference_that_luck_explains_is_none() -> None:
    (found,) = compare_runs(counts(12, 9, 400))
    assert found.verdict == "no difference shown"
    assert found.sentence == "no difference between A and B is shown: between -1.5 and +3.1 points"


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 300), st.sampled_from([None, 2, 5]))
def test_from_both_sides_it_is_the_same(gained: int, lost: int, both: int, size: int | None) -> None:
    one, other = counts(gained, lost, both)
    if size:
        groups = np.arange(len(one.keys)) // size
        one, other = (Judged(each.run, each.keys, each.right, groups) for each in (one, other))
    (forth,), (back,) = compare_runs([one, other]), compare_runs([other, one])
    assert forth.difference == -back.difference
    assert (forth.p, forth.p_adjusted) == (back.p, back.p_adjusted)
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert forth.family_interval == pytest.approx((-back.family_interval[1], -back.family_interval[0]))
    assert (forth.verdict, back.verdict) in {
        ("better", "worse"),
        ("worse", "better"),
        ("no difference shown", "no difference shown"),
    }
    if forth.verdict != "no difference shown":
        assert forth.sentence == back.sentence


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(0, 10_000))
def test_sentence_interval_and_p_never_contradict(runs: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    base = random.random(150)
    family = [judged(f"r{i}", base + 0.2 * random.normal(size=150) < random.uniform(0.6, 0.95)) for i in range(runs)]
    for found in compare_runs(family):
        json.dumps(found.to_json(), allow_nan=False)
        low, high = found.family_interval
        assert found.p <= found.p_adjusted <= 1
        assert low <= found.interval[0] or found.verdict != "no difference shown"
        if found.verdict == "better":
            assert found.p_adjusted < 0.05
            assert low > 0
        elif found.verdict == "worse":
            assert found.p_adjusted < 0.05
            assert high < 0
        else:
            assert low <= 0 <= high


def test_runs_that_predict_the_same_do_not_differ_but_may() -> None:
    right = np.arange(200) % 10 > 0
    (found,) = compare_runs([judged("A", right), judged("B", right)])
    assert (found.verdict, found.p, found.difference) == ("no difference shown", 1.0, 0.0)
    assert found.sentence == "no difference between A and B is shown: between -1.9 and +1.9 points"


def test_many_comparisons_ask_for_more() -> None:
    better, worse = counts(14, 3, 183)
    assert compare_runs([better, worse])[0].verdict == "better"
    random = np.random.default_rng(0)
    many = [better, worse, *(judged(f"r{i}", random.random(200) < 0.95) for i in range(8))]
    among = next(each for each in compare_runs(many) if (each.one, each.other) == ("A", "B"))
    assert among.verdict == "no difference shown"
    assert among.p < 0.05 < among.p_adjusted
    assert among.interval[0] > 0 >= among.family_interval[0]


def test_what_only_the_seed_tells_apart_is_never_better() -> None:
    one, other = counts(40, 0, 160)
    alike = [Judged(each.run, each.keys, each.right, settings="logistic c=1") for each in (one, other)]
    third = judged("C", np.arange(200) % 2 == 0)
    found = compare_runs([*alike, third])
    assert found[0].verdict == "seed only"
    assert found[0].sentence == "A and B have the same settings: 20.0 points between them are luck of training"
    # It is no comparison of the family: the other two are multiplied by 2 at most.
    assert max(each.p_adjusted / each.p for each in found[1:]) <= 2


def test_one_reference_against_the_others() -> None:
    random = np.random.default_rng(1)
    runs = [judged(name, random.random(50) < 0.9) for name in "ABC"]
    assert [(each.one, each.other) for each in compare_runs(runs, reference="B")] == [("B", "A"), ("B", "C")]
    with pytest.raises(InvalidRequest, match="no run is called 'D': expected one of A, B, C"):
        compare_runs(runs, reference="D")
    assert compare_runs([]) == []


def test_runs_are_compared_on_the_pictures_of_both() -> None:
    one = Judged("A", keys_of(60), np.ones(60, dtype=bool))
    order = np.random.default_rng(2).permutation(60)
    other = Judged("B", keys_of(60, 40)[order], (np.arange(60) < 10)[order], np.arange(60)[order] // 2)
    pair = pair_runs(one, other)
    assert len(pair.one) == 20
    assert pair.other.sum() == 10
    assert pair.groups is not None
    assert np.unique(pair.groups).tolist() == list(range(10))
    (found,) = compare_runs([one, other])
    assert (found.images, found.accuracy_one, found.accuracy_other) == (20, 1.0, 0.5)


def test_runs_on_other_pictures_cannot_be_compared() -> None:
    with pytest.raises(InvalidRequest, match="A and B have no picture in common: expected runs on the same pictures"):
        compare_runs([Judged("A", keys_of(5), np.ones(5, bool)), Judged("B", keys_of(5, 5), np.ones(5, bool))])
    with pytest.raises(InvalidRequest, match="A judged a picture twice"):
        compare_runs([Judged("A", keys_of(5)[[0, 0]], np.ones(2, bool)), judged("B", [True] * 5)])


def test_copies_widen_the_interval_and_raise_the_p() -> None:
    one, other = (np.tile(each.right, 10) for each in counts(5, 1, 30))
    groups = np.tile(np.arange(36), 10)
    (alone,) = compare_runs([judged("A", one), judged("B", other)])
    (grouped,) = compare_runs([judged("A", one, groups=groups), judged("B", other, groups=groups)])
    (single,) = compare_runs(counts(5, 1, 30))
    assert (alone.verdict, grouped.verdict) == ("better", "no difference shown")
    assert grouped.p == pytest.approx(single.p)
    assert grouped.interval == pytest.approx(single.interval, abs=0.03)


def test_the_difference_of_predictions() -> None:
    labels = np.array([0, 1, 1, 0], np.int32)
    difference, (low, high) = accuracy_difference(labels, labels, 1 - labels)
    assert (difference, high) == (1.0, 1.0)
    assert 0 < low < 1
    assert accuracy_difference(labels, labels, labels, groups=np.zeros(4, np.int64))[0] == 0.0


@pytest.mark.parametrize(
    ("table", "good", "equivalent", "sentence"),
    [
        ((10, 12, 3000), True, True, "A is as good as B within 1 point"),
        ((60, 10, 3000), True, False, "A is as good as B within 1 point"),
        (
            (10, 12, 300),
            False,
            False,
            "it is not shown that A is as good as B within 1 point: it may be 3.2 points worse",
        ),
        ((10, 90, 2000), False, False, "A is worse than B by more than 1 point"),
    ],
)
def test_whether_the_cheaper_is_good_enough(
    table: tuple[int, int, int], good: bool, equivalent: bool, sentence: str
) -> None:
    found = judge_equivalence(*counts(*table))
    assert (found.good_enough, found.equivalent, found.sentence) == (good, equivalent, sentence)
    json.dumps(found.to_json(), allow_nan=False)


def test_the_margin_is_said_as_it_is() -> None:
    assert judge_equivalence(*counts(10, 12, 3000), margin=0.025).sentence == "A is as good as B within 2.5 points"
