"""The probe survives its file exactly, and its difference is what it says."""

import json

import numpy as np
import pytest
from demijohn.cache.probe import Probe
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

vectors = arrays.arrays(
    np.float32, 6, elements=st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
)


@given(st.dictionaries(st.text(max_size=5), vectors, max_size=3))
def test_every_bit_survives_json(values: dict[str, np.ndarray]) -> None:
    again = Probe.from_json(json.loads(json.dumps(Probe(values).to_json())))
    assert {name: vector.tobytes() for name, vector in again.vectors.items()} == {
        name: vector.tobytes() for name, vector in values.items()
    }


def test_the_difference_is_a_share_of_the_greatest_value() -> None:
    one = Probe({"a": np.array([1, -4], np.float32), "b": np.array([2, 2], np.float32)})
    other = Probe({"a": np.array([1, -4], np.float32), "b": np.array([2, 3], np.float32)})
    assert one.difference(one) == 0
    assert one.difference(other) == pytest.approx(0.25)


def test_other_pictures_or_widths_are_infinitely_different() -> None:
    one = Probe({"a": np.zeros(2, np.float32)})
    assert one.difference(Probe({"b": np.zeros(2, np.float32)})) == float("inf")
    assert one.difference(Probe({"a": np.zeros(3, np.float32)})) == float("inf")
    assert one.difference(Probe({"a": np.ones(2, np.float32)})) == float("inf")
    assert one.difference(one) == 0
