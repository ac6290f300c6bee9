"""What was computed is recalled by its inputs; a file that is damaged is made again."""

from pathlib import Path

import numpy as np
import pytest
from demijohn.cache.results import KeptResults, Result


class Maker:
    """Counts how often something is computed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Result:
        """Compute."""
        self.calls += 1
        return Result({"none": None, "list": [1, 2.5]}, {"right": np.array([True, False]), "keys": np.array([b"ab"])})


def same(one: Result, other: Result) -> bool:
    """Return whether two results are alike."""
    arrays = one.arrays.keys() == other.arrays.keys() and all(
        np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays
    )
    return one.values == other.values and arrays


def test_it_is_computed_once_for_the_same_inputs(tmp_path: Path) -> None:
    make = Maker()
    first = KeptResults(tmp_path, 1).recall("some", {"a": 1, "b": None}, make)
    again = KeptResults(tmp_path, 1).recall("some", {"b": None, "a": 1}, make)
    assert make.calls == 1
    assert same(first, again)
    assert again.arrays["right"].dtype == bool


@pytest.mark.parametrize(
    ("kind", "inputs", "edition"), [("other", {"a": 1}, 1), ("some", {"a": 2}, 1), ("some", {"a": 1}, 2)]
)
def test_anything_else_is_another_result(tmp_path: Path, kind: str, inputs: dict[str, int], edition: int) -> None:
    make = Maker()
    KeptResults(tmp_path, 1).recall("some", {"a": 1}, make)
    KeptResults(tmp_path, edition).recall(kind, inputs, make)
    assert make.calls == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"half"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    make = Maker()
    first = KeptResults(tmp_path, 1).recall("some", {}, make)
    (path,) = tmp_path.glob("some-*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == b"half" else damage)
    assert same(KeptResults(tmp_path, 1).recall("some", {}, make), first)
    assert make.calls == 2
    assert path.read_bytes() == whole


def test_others_are_forgotten(tmp_path: Path) -> None:
    KeptResults(tmp_path, 1).recall("old", {}, Maker())
    kept = KeptResults(tmp_path, 1)
    kept.recall("new", {}, Maker())
    (tmp_path / "foreign.txt").write_text("stays")
    kept.forget_others()
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == ["foreign.txt", "new"]


def test_nothing_is_kept_where_computing_fails(tmp_path: Path) -> None:
    def fail() -> Result:
        raise LookupError("no")

    with pytest.raises(LookupError):
        KeptResults(tmp_path, 1).recall("some", {}, fail)
    assert not list(tmp_path.iterdir())
