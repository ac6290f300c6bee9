"""Settings of labels and splits: what is asked for goes over what is kept, and nonsense is an error."""

import re

import pytest
from demijohn.pipeline.datasets.labelling import AS_USUAL, Labelling, format_shares, parse_shares
from demijohn.pipeline.errors import InvalidRequest
from hypothesis import given
from hypothesis import strategies as st

patterns = st.sampled_from([None, "", r"^(\w+)\.", r"(?P<label>a)(b)|(?P<group>c)"])
shares = st.none() | st.integers(1, 100).map(lambda train: (float(train), 0.0, float(100 - train)))
labellings = st.one_of(
    st.builds(
        Labelling,
        label_pattern=patterns,
        shares=shares,
        group_pattern=patterns,
        limit=st.none() | st.integers(0, 3),
    ),
    st.builds(
        Labelling,
        label_level=st.none() | st.integers(1, 3),
        shares=shares,
        group=st.sampled_from([None, "", "patient"]),
        limit=st.none() | st.integers(0, 3),
    ),
)


@given(labellings)
def test_what_is_kept_is_what_was_settled(asked: Labelling) -> None:
    settled = asked.over(AS_USUAL)
    assert Labelling.from_json(settled.to_json()) == settled
    assert asked.over(settled) == settled
    assert AS_USUAL.over(settled) == settled
    assert settled.changes_from(settled) == []


@given(labellings, labellings)
def test_what_is_asked_for_wins_and_the_rest_stays(asked: Labelling, earlier: Labelling) -> None:
    settled = asked.over(earlier.over(AS_USUAL))
    usual = {"label_level": 1, "shares": (70.0, 15.0, 15.0), "limit": 0}
    for name in ("label_level", "label_pattern", "shares", "group", "group_pattern", "limit"):
        wanted = getattr(asked, name)
        if wanted is not None:
            assert getattr(settled, name) == (None if wanted in ("", usual.get(name)) else wanted)
    if asked.limit is None:
        assert (settled.limit or 0) == (earlier.limit or 0)


def test_the_usual_is_not_kept() -> None:
    assert Labelling(label_level=1, shares=(70.0, 15.0, 15.0), limit=0, group="").over(AS_USUAL).to_json() == {}


@pytest.mark.parametrize(
    ("asked", "earlier"),
    [
        (Labelling(label_level=2), Labelling(label_pattern="^(.)")),
        (Labelling(label_pattern="^(.)"), Labelling(label_level=2)),
        (Labelling(group="patient"), Labelling(group_pattern="^(.)")),
        (Labelling(group_pattern="^(.)"), Labelling(group="patient")),
    ],
)
def test_asking_for_one_source_ends_the_other(asked: Labelling, earlier: Labelling) -> None:
    assert asked.over(earlier) == asked


def test_changes_are_told_as_options_with_what_was_before() -> None:
    now = Labelling(label_pattern="^(a b)", shares=(80.0, 10.0, 10.0), limit=50)
    assert now.changes_from(Labelling(label_level=2)) == [
        "--label-level 1 (before: 2)",
        "--label-pattern '^(a b)' (before: none)",
        "--split 80/10/10 (before: 70/15/15)",
        "--limit 50 (before: 0, all)",
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"label_pattern": "("}, "--label-pattern ( is no regular expression"),
        ({"label_pattern": "cat"}, "has 0 groups: expected one in round brackets that is the label"),
        ({"label_pattern": "(a)(b)"}, "has 2 groups"),
        ({"label_pattern": "(?P<group>a)(b)"}, "has 2 groups"),
        ({"group_pattern": "patient"}, "or one called group, such as '^(?P<group>"),
        ({"label_level": 0}, "expected a level from 1"),
        ({"limit": -1}, "--limit -1"),
        ({"shares": (0.0, 50.0, 50.0)}, "leave something to train on, such as 70/15/15, found 0/50/50"),
        ({"shares": (70.0, 15.0, 16.0)}, "add up to 100"),
        ({"shares": (120.0, -10.0, -10.0)}, "add up to 100"),
        ({"shares": (float("nan"), 50.0, 50.0)}, "add up to 100"),
        ({"shares": (80.0, 20.0)}, "found 80/20"),
        ({"label_level": 1, "label_pattern": "^(.)"}, "--label-level and --label-pattern contradict"),
        ({"group": "film", "group_pattern": "^(.)"}, "--group and --group-pattern contradict"),
    ],
)
def test_nonsense_is_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(told)):
        Labelling(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "70", "70/30", "70/15/15/0", "a/b/c", "70,15,15", "70/15/"])
def test_shares_that_are_no_three_numbers(text: str) -> None:
    with pytest.raises(InvalidRequest, match="such as 70/15/15, found"):
        parse_shares(text)


def test_a_third_each_is_near_enough() -> None:
    assert format_shares(Labelling(shares=parse_shares("33.3333333/33.3333333/33.3333334")).shares or (0, 0, 0))
