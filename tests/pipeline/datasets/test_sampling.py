"""A sample has the shares of the whole, is the same every time, and grows without changing."""

from collections import Counter
from dataclasses import replace

import pytest
from demijohn.cache.table import Row
from demijohn.pipeline.datasets.sampling import draw_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rows import key

rows = st.lists(
    st.builds(
        Row,
        st.just("x"),
        st.integers(0, 80).map(key),
        st.sampled_from(["a", "b", "c", ""]),
        st.sampled_from(["", "train", "test"]),
    )
)


def table(**classes: int) -> list[Row]:
    labels = [label for label, count in classes.items() for _ in range(count)]
    return [Row(f"{number}.jpg", key(number), label, "") for number, label in enumerate(labels)]


@settings(deadline=None)
@given(rows, st.integers(0, 60), st.integers(0, 60), st.integers(0, 3))
def test_a_smaller_sample_is_part_of_a_greater_one(files: list[Row], one: int, other: int, seed: int) -> None:
    less, more = sorted([one, other])
    small, large = (draw_sample(files, limit, seed=seed) for limit in (less, more))
    distinct = {row.key for row in files}
    assert small <= large <= distinct
    assert (len(small), len(large)) == (min(less, len(distinct)), min(more, len(distinct)))
    assert draw_sample(files[::-1], more, seed=seed) == large


@pytest.mark.parametrize("limit", [40, 100, 333])
def test_shares_of_the_classes_are_kept(limit: int) -> None:
    files = table(a=600, b=300, c=100)
    chosen = draw_sample(files, limit, seed=0)
    count = Counter(row.label for row in files if row.key in chosen)
    assert all(abs(count[label] - limit * share) <= 1 for label, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)))


def test_a_small_class_is_not_lost() -> None:
    files = table(a=1000, rare=4)
    chosen = draw_sample(files, 50, seed=0)
    assert Counter(row.label for row in files if row.key in chosen)["rare"] == 3


def test_every_class_comes_in_turn_where_there_are_more_than_fit() -> None:
    files = table(**{f"class{number}": 10 for number in range(30)})
    chosen = draw_sample(files, 30, seed=0)
    assert Counter(Counter(row.label for row in files if row.key in chosen).values()) == {1: 30}


def test_given_splits_keep_their_shares() -> None:
    files = [replace(row, split="train" if number % 4 else "test") for number, row in enumerate(table(a=400, b=400))]
    for seed in range(10):
        chosen = draw_sample(files, 80, seed=seed)
        count = Counter((row.label, row.split) for row in files if row.key in chosen)
        assert all(abs(count[label, "test"] - 10) <= 1 for label in "ab")


def test_another_seed_is_another_sample() -> None:
    files = table(a=100, b=100)
    assert draw_sample(files, 50, seed=0) != draw_sample(files, 50, seed=1)


def test_pictures_that_are_added_push_few_out() -> None:
    before = draw_sample(table(a=500), 100, seed=0)
    after = draw_sample(table(a=550), 100, seed=0)
    # Those that stay have the lowest lots of all; a tenth more pictures take a tenth of the places.
    assert len(before & after) >= 80
