"""A part is what was written, or an error that names it; never other numbers."""

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import xxhash
from demijohn.cache import DamagedFile, NewerFormat, OlderFormat
from demijohn.cache.part import keys_from_array, keys_to_array, open_part, read_rows, write_part
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.rows import WIDTH, rows

# Few different bytes, so that keys differ in any place and often end in zeros.
keys_of_any_kind = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.lists(st.sampled_from([0, 1, 127, 128, 255]), min_size=32, max_size=32).map(bytes),
    st.binary(max_size=32).map(lambda start: start.ljust(32, b"\0")),
)


def write(folder: Path, count: int = 40) -> Path:
    keys, values = rows(range(count))
    order = np.argsort(keys_to_array(keys))
    return write_part(folder, keys_to_array(keys)[order], values[order], recipe="abc", supersedes=["b.h5", "a.h5"])


def read_all(path: Path) -> NDArray[np.float32]:
    part = open_part(path, "abc")
    return np.concatenate([block.copy() for _, block in read_rows(part, np.arange(len(part.keys)))])


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
        assert file["features"].chunks is None
    assert list(tmp_path.iterdir()) == [path]


def test_reading_gives_the_rows_asked_for_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demijohn.cache.part.BLOCK_BYTES", 4 * WIDTH * 3)
    monkeypatch.setattr("demijohn.cache.part.READ_BYTES", 4 * WIDTH * 3)
    part = open_part(write(tmp_path), "abc")
    wanted = np.array([0, 0, 2, 3, 9, 17, 18, 39, 39])
    result = np.full((len(wanted), WIDTH), np.nan, np.float32)
    blocks = [(where, values.copy()) for where, values in read_rows(part, wanted)]
    assert len(blocks) > 2
    for where, values in blocks:
        result[where] = values
    with h5py.File(part.path) as file:
        assert (result == file["features"][:][wanted]).all()
    assert part.supersedes == {"a.h5", "b.h5"}


def flips(path: Path, *, step: int) -> Iterator[int]:
    """Flip one bit of a file after another, the file whole again after each; yield where."""
    content, draw = path.read_bytes(), random.Random(0)
    for at in range(0, len(content), step):
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :])
        yield at
    path.write_bytes(content)


@pytest.mark.parametrize("step", [13, pytest.param(2, marks=pytest.mark.slow)])
def test_no_bit_of_a_part_can_flip_and_change_what_is_read(tmp_path: Path, step: int) -> None:
    path = write(tmp_path)
    whole = open_part(path, "abc")
    keys, values = whole.keys.tobytes(), read_all(path).tobytes()
    seen = 0
    for _ in flips(path, step=step):
        try:
            part = open_part(path, "abc")
            assert part.keys.tobytes() == keys
            assert part.supersedes == whole.supersedes
            assert read_all(path).tobytes() == values
        except (DamagedFile, NewerFormat, OlderFormat):
            seen += 1
    assert seen > 1000 // step


def test_a_block_of_zeros_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path)
    part = open_part(path, "abc")
    content = bytearray(path.read_bytes())
    content[part.offset : part.offset + 40 * 4 * WIDTH] = bytes(40 * 4 * WIDTH)
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match="a checksum does not fit"):
        read_all(path)


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
    with h5py.File(path, "a") as file:
        file.attrs["format"] = 1
    with pytest.raises(OlderFormat, match="verify --repair"):
        open_part(path, "abc")


@given(st.lists(keys_of_any_kind, min_size=1, max_size=30))
@settings(deadline=None)
def test_arrays_of_keys_sort_and_compare_as_bytes_do(keys: list[bytes]) -> None:
    array, ordered = keys_to_array(keys), sorted(set(keys))
    assert keys_from_array(np.unique(array)) == ordered
    assert np.searchsorted(keys_to_array(ordered), array).tolist() == [ordered.index(key) for key in keys]
    assert (array == array[::-1]).tolist() == [one == other for one, other in zip(keys, keys[::-1], strict=True)]


@given(st.lists(keys_of_any_kind, min_size=1, max_size=12, unique=True), st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_keys_and_rows_of_any_kind_survive_the_disk(keys: list[bytes], width: int) -> None:
    values = np.arange(len(keys) * width, dtype=np.float32).reshape(-1, width)
    with tempfile.TemporaryDirectory() as folder:
        path = write_part(Path(folder), keys_to_array(sorted(keys)), values, recipe="abc")
        part = open_part(path, "abc")
        assert keys_from_array(part.keys) == sorted(keys)
        assert part.width == width
        assert (read_all(path) == values).all()
        with h5py.File(path) as file:
            assert [each.tobytes() for each in file["keys"][:]] == sorted(keys)


@given(st.lists(st.integers(0, 39)), st.integers(1, 400), st.integers(1, 400))
@settings(deadline=None, max_examples=50)
def test_any_rows_come_in_blocks_that_are_theirs(chosen: list[int], block_bytes: int, read_bytes: int) -> None:
    wanted = np.array(sorted(chosen), dtype=np.intp)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("demijohn.cache.part.BLOCK_BYTES", block_bytes)
        patch.setattr("demijohn.cache.part.READ_BYTES", read_bytes)
        part = open_part(write(Path(folder)), "abc")
        with h5py.File(part.path) as file:
            values = file["features"][:]
        seen: list[int] = []
        for which, block in read_rows(part, wanted):
            assert np.ptp(wanted[which]) * 4 * WIDTH <= max(block_bytes, read_bytes)
            assert (block == values[wanted[which]]).all()
            seen.extend(range(which.start, which.stop))
    assert seen == list(range(len(wanted)))


def test_a_part_can_be_checked_without_demijohn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demijohn.cache.part.BLOCK_BYTES", 4 * WIDTH * 16)
    with h5py.File(write(tmp_path)) as file:
        rows, checksums = file["features"][:], file["checksums"][:].tobytes()
        assert file.attrs["block_rows"] == 16
        assert checksums == b"".join(xxhash.xxh3_128_digest(rows[start : start + 16]) for start in (0, 16, 32))
        content = hashlib.sha256(file["keys"][:].tobytes() + checksums + file["supersedes"][:].tobytes()).hexdigest()
        assert file.attrs["content"] == content.encode()
        assert (file.attrs["format"], file.attrs["recipe"]) == (2, b"abc")
        assert [name.tobytes().rstrip() for name in file["supersedes"][:]] == [b"a.h5", b"b.h5"]


def test_damage_in_one_block_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demijohn.cache.part.BLOCK_BYTES", 4 * WIDTH * 16)
    monkeypatch.setattr("demijohn.cache.part.READ_BYTES", 4 * WIDTH * 16)
    path = write(tmp_path)
    part = open_part(path, "abc")
    values = read_all(path)
    content = bytearray(path.read_bytes())
    content[part.offset + 32 * 4 * WIDTH] ^= 1
    path.write_bytes(content)
    found = np.concatenate([block.copy() for _, block in read_rows(part, np.arange(32))])
    assert (found == values[:32]).all()
    with pytest.raises(DamagedFile, match=path.name):
        list(read_rows(part, np.arange(33)))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.touch(),
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(4096)),
        lambda path: path.mkdir(),
    ],
    ids=["empty", "signature only", "folder"],
)
def test_what_only_has_the_name_of_a_part(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "x.h5")
    with pytest.raises(DamagedFile, match=r"x\.h5 is damaged: .*verify --repair"):
        open_part(tmp_path / "x.h5", "abc")


@pytest.mark.parametrize(
    "name", ["features", "keys", "checksums", "supersedes", "@format", "@recipe", "@rows", "@content", "@block_rows"]
)
def test_a_part_that_lacks_something_is_damaged(tmp_path: Path, name: str) -> None:
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        if name.startswith("@"):
            del file.attrs[name[1:]]
        else:
            del file[name]
    with pytest.raises(DamagedFile, match=path.name):
        open_part(path, "abc")


@pytest.mark.parametrize(
    ("name", "shape"), [("keys", (39, 32)), ("keys", (40, 31)), ("features", (41, WIDTH)), ("features", (40,))]
)
def test_keys_and_rows_that_do_not_fit_each_other_are_damage(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        kind = file[name].dtype
        del file[name]
        file[name] = np.zeros(shape, dtype=kind)
    with pytest.raises(DamagedFile, match=path.name):
        open_part(path, "abc")


def test_a_part_that_goes_between_opening_and_reading(tmp_path: Path) -> None:
    part = open_part(write(tmp_path), "abc")
    part.path.unlink()
    with pytest.raises(FileNotFoundError):
        list(read_rows(part, np.arange(3)))
