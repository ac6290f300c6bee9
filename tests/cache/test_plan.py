"""A plan divides keys; each stands once."""

from demijohn.cache.plan import plan_extraction
from hypothesis import given
from hypothesis import strategies as st
from support.rows import key


@given(st.lists(st.integers(0, 20)), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_a_plan_divides_what_is_wanted(wanted: list[int], present: set[int], refused: set[int]) -> None:
    plan = plan_extraction(map(key, wanted), map(key, present), map(key, refused))
    every = [*plan.missing, *plan.present, *plan.refused]
    assert len(every) == len(set(every))
    assert set(every) == {key(number) for number in wanted}
    assert set(plan.present) == {key(number) for number in wanted if number in present}
    assert set(plan.refused) == {key(number) for number in wanted if number in refused - present}
    assert plan.orphaned == {key(number) for number in present.difference(wanted)}
    assert list(plan.missing) == list(
        dict.fromkeys(key(number) for number in wanted if number not in present | refused)
    )
