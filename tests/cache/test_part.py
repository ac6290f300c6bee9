"""A part is what was written, or an error that names it; never other numbers."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import DamagedFile, NewerFormat
from demijohn.cache.part import keys_from_array, keys_to_array, open_part, read_rows, write_part
from hypothesis import given
from hypothesis import strategies as st
from support.rows import WIDTH, rows


def write(folder: Path, count: int = 40) -> Path:
    keys, values = rows(range(count))
    order = np.argsort(keys_to_array(keys))
    return write_part(folder, keys_to_array(keys)[order], values[order], recipe="abc", supersedes=["b.h5", "a.h5"])


@given(st.lists(st.binary(min_size=32, max_size=32)))
def test_keys_survive_whatever_bytes_they_end_in(keys: list[bytes]) -> None:
    assert keys_from_array(keys_to_array(keys)) == keys


def test_any_hdf5_reader_sees_keys_and_rows(tmp_path: Path) -> None:
    path = write(tmp_path)
    expected = dict(zip(*rows(range(40)), strict=True))
    with h5py.File(path) as file:
        assert file["features"].dtype == np.float32
        assert file["keys"].dtype == np.uint8
        keys = [each.tobytes() for each in file["keys"][:]]
        assert keys == sorted(expected)
        for each, values in zip(keys, file["features"][:], strict=True):
            assert (values == expected[each]).all()
        assert dict(file.attrs)["rows"] == 40
        assert file["features"].fletcher32
    assert list(tmp_path.iterdir()) == [path]


def test_reading_gives_the_rows_asked_for_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = open_part(write(tmp_path), "abc")
    monkeypatch.setattr("demijohn.cache.part.BLOCK_BYTES", 4 * WIDTH * 3)
    wanted = np.array([0, 0, 2, 3, 9, 17, 18, 39, 39])
    result = np.full((len(wanted), WIDTH), np.nan, np.float32)
    blocks = list(read_rows(part, wanted))
    assert len(blocks) > 2
    for where, values in blocks:
        result[where] = values
    with h5py.File(part.path) as file:
        assert (result == file["features"][:][wanted]).all()
    assert part.supersedes == {"a.h5", "b.h5"}


def test_no_bit_of_the_features_can_flip_unseen(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path) as file:
        chunk = file["features"].id.get_chunk_info(0)
    content = path.read_bytes()
    for at in range(chunk.byte_offset, chunk.byte_offset + chunk.size, 37):
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        part = open_part(path, "abc")
        with pytest.raises(DamagedFile, match=path.name):
            list(read_rows(part, np.arange(40)))


def test_a_part_cut_short_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    for length in range(0, len(content), 499):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFile, match=path.name):
            list(read_rows(open_part(path, "abc"), np.arange(40)))


def test_foreign_files(tmp_path: Path) -> None:
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for name in ("text.h5", "other.h5"):
        with pytest.raises(DamagedFile, match=name):
            open_part(tmp_path / name, "abc")
    with pytest.raises(FileNotFoundError):
        open_part(tmp_path / "gone.h5", "abc")


def test_another_recipe_and_a_newer_format(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(DamagedFile, match="belongs to another feature set"):
        open_part(path, "abd")
    with h5py.File(path, "a") as file:
        file.attrs["format"] = 99
    with pytest.raises(NewerFormat, match="install a newer demijohn"):
        open_part(path, "abc")
