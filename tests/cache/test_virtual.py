"""`features.h5` is the parts as one file to any HDF5 reader: sorted, each key once, right or NaN."""

import errno
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import StoreNotWritable
from demijohn.cache.part import Part, keys_to_array, open_part, write_part
from demijohn.cache.virtual import count_mappings, is_current, write_virtual
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rows import key, row, rows


def make(folder: Path, numbers: set[int], shift: float = 0) -> Part:
    """Write a part that holds the rows of some numbers."""
    ordered = sorted(numbers, key=key)
    keys, values = rows(ordered)
    path = write_part(folder / "parts", keys_to_array(keys), values + np.float32(shift), recipe="abc")
    return open_part(path, "abc")


def shown(path: Path) -> list[tuple[bytes, bytes]]:
    """Return keys and rows as raw h5py reads them."""
    with h5py.File(path) as file:
        assert file["features"].dtype == np.dtype("<f4")
        assert file["keys"].dtype == np.uint8
        return [(one.tobytes(), other.tobytes()) for one, other in zip(file["keys"], file["features"], strict=True)]


@given(st.lists(st.sets(st.integers(0, 30), min_size=1), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_any_parts_are_shown_as_one_sorted_file(sets: list[set[int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [make(folder, numbers) for numbers in sets]
        write_virtual(folder / "features.h5", parts)
        ordered = sorted(set().union(*sets), key=key)
        assert shown(folder / "features.h5") == [(key(number), row(number).tobytes()) for number in ordered]
        # A run of neighbours in one part is one mapping; the first part that has a key counts.
        ranked = [sorted(numbers, key=key) for numbers in sets]
        owner = {number: next(i for i, numbers in enumerate(sets) if number in numbers) for number in ordered}
        place = [(owner[number], ranked[owner[number]].index(number)) for number in ordered]
        breaks = sum(after != (before[0], before[1] + 1) for before, after in pairwise(place))
        assert count_mappings(parts) == breaks + 1


def test_a_row_in_two_parts_counts_once_and_the_first_part_counts(tmp_path: Path) -> None:
    parts = [make(tmp_path, {1, 2}), make(tmp_path, {2, 3}, shift=1)]
    write_virtual(tmp_path / "features.h5", parts)
    found = dict(shown(tmp_path / "features.h5"))
    assert found == {key(1): row(1).tobytes(), key(2): row(2).tobytes(), key(3): (row(3) + np.float32(1)).tobytes()}


def test_nothing_is_copied_and_the_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "before"
    write_virtual(folder / "features.h5", [make(folder, {1, 2, 3}), make(folder, {4, 5})])
    with h5py.File(folder / "features.h5") as file:
        assert file["features"].is_virtual
        assert file["keys"].is_virtual
        assert not any(Path(source.file_name).is_absolute() for source in file["features"].virtual_sources())
    before = shown(folder / "features.h5")
    folder.rename(tmp_path / "after")
    (tmp_path / "link.h5").symlink_to(tmp_path / "after" / "features.h5")
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "after" / "features.h5") == before
    assert shown(Path("after/features.h5")) == before
    assert shown(Path("link.h5")) == before


def test_a_part_that_has_gone_reads_as_nan_and_never_as_numbers(tmp_path: Path) -> None:
    parts = [make(tmp_path, {1, 2, 3}), make(tmp_path, {4, 5})]
    write_virtual(tmp_path / "features.h5", parts)
    parts[0].path.unlink()
    with h5py.File(tmp_path / "features.h5") as file:
        values = file["features"][:]
        assert np.isnan(file["features"].fillvalue)
    assert np.isnan(values).all(axis=1).sum() == 3
    left = values[~np.isnan(values).any(axis=1)]
    assert sorted(map(bytes, left)) == sorted([row(4).tobytes(), row(5).tobytes()])


def test_without_parts_nothing_is_written(tmp_path: Path) -> None:
    write_virtual(tmp_path / "features.h5", [])
    assert os.listdir(tmp_path) == []
    assert count_mappings([]) == 0


def test_it_is_current_only_while_it_shows_just_these_parts(tmp_path: Path) -> None:
    path, parts = tmp_path / "features.h5", [make(tmp_path, {1}), make(tmp_path, {2})]
    assert not is_current(path, parts)
    write_virtual(path, parts)
    assert is_current(path, parts)
    assert is_current(path, parts[::-1])
    assert not is_current(path, parts[:1])
    assert not is_current(path, [*parts, make(tmp_path, {3})])
    path.write_bytes(path.read_bytes()[:100])
    assert not is_current(path, parts)


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [make(tmp_path, {1}), make(tmp_path, {2})]
    write_virtual(tmp_path / "features.h5", parts[:1])

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "injected")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreNotWritable, match="free some space"):
        write_virtual(tmp_path / "features.h5", parts)
    assert shown(tmp_path / "features.h5") == [(key(1), row(1).tobytes())]
    assert sorted(os.listdir(tmp_path)) == ["features.h5", "parts"]
