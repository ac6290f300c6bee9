"""What belongs together is decided by one key, whatever the order of the files."""

import random

import pytest
from demijohn.cache.table import Row
from demijohn.pipeline.datasets.groups import bind, group_key
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rows import key


def rows(*files: tuple[int, str]) -> list[Row]:
    return [Row(f"{index}.jpg", key(number), "a", "", group) for index, (number, group) in enumerate(files)]


def test_without_groups_every_picture_decides_for_itself() -> None:
    assert bind(rows((1, ""), (2, ""), (1, ""))) == ([key(1), key(2), key(1)], [])


def test_a_group_decides_for_its_pictures_and_their_copies_elsewhere() -> None:
    deciders, notes = bind(rows((1, "p"), (2, "p"), (3, ""), (1, "")))
    assert deciders == [group_key("p"), group_key("p"), key(3), group_key("p")]
    assert notes == []


def test_groups_are_united_through_others_by_the_first_of_their_names() -> None:
    deciders, notes = bind(rows((1, "r"), (1, "q"), (2, "q"), (2, "p"), (3, "s")))
    assert deciders == [group_key("p")] * 4 + [group_key("s")]
    assert notes == ["groups that share pictures with the same bytes, kept together as one: p + q + r"]


@pytest.mark.parametrize("name", ["", "caf\udce9", "猫", "a" * 5000])
def test_a_group_may_have_any_name(name: str) -> None:
    assert len(group_key(name)) == 32
    assert group_key(name) != group_key(name + "x")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["", *"pqrs"])), max_size=30), st.randoms())
def test_the_order_of_the_files_does_not_count(files: list[tuple[int, str]], order: random.Random) -> None:
    table = rows(*files)
    deciders, notes = bind(table)
    shuffled = list(range(len(files)))
    order.shuffle(shuffled)
    again, said = bind([table[index] for index in shuffled])
    assert again == [deciders[index] for index in shuffled]
    assert said == notes
