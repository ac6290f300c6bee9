"""HDF5 files are built in memory, appear whole, and are read without locks."""

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import DamagedFile, NewerFormat, StoreNotWritable
from demijohn.cache.hdf5 import reading_hdf5, writing_hdf5

VALUES = np.arange(300_000, dtype=np.float64)


def write(path: Path, values: object = VALUES) -> None:
    with writing_hdf5(path) as file:
        file["values"] = values


def test_what_is_written_is_plain_hdf5_and_alone_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    # A file of that name in the current folder is none of its business.
    (here / "file.h5").write_text("mine")
    monkeypatch.chdir(here)
    write(tmp_path / "there" / "file.h5")
    with h5py.File(tmp_path / "there" / "file.h5") as file:
        assert (file["values"][:] == VALUES).all()
    assert os.listdir(tmp_path / "there") == ["file.h5"]
    assert os.listdir(here) == ["file.h5"]
    assert (here / "file.h5").read_text() == "mine"


def test_nothing_is_on_disk_before_the_end(tmp_path: Path) -> None:
    with writing_hdf5(tmp_path / "file.h5") as file:
        file["values"] = VALUES
        file.flush()
        assert os.listdir(tmp_path) == []
    assert os.listdir(tmp_path) == ["file.h5"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_on_the_way_leaves_the_old_file(tmp_path: Path, kind: type[BaseException]) -> None:
    write(tmp_path / "file.h5")

    def fail() -> None:
        with writing_hdf5(tmp_path / "file.h5") as file:
            file["values"] = VALUES + 1
            raise kind

    with pytest.raises(kind):
        fail()
    with reading_hdf5(tmp_path / "file.h5", "") as file:
        assert (file["values"][:] == VALUES).all()
    assert os.listdir(tmp_path) == ["file.h5"]


def test_a_disk_that_takes_no_more_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "file.h5")

    write_some, calls = os.write, 0

    def half(descriptor: int, content: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, "injected")
        return write_some(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(StoreNotWritable, match="free some space"):
            write(tmp_path / "file.h5", VALUES + 1)
    with reading_hdf5(tmp_path / "file.h5", "") as file:
        assert (file["values"][:] == VALUES).all()
    assert os.listdir(tmp_path) == ["file.h5"]


def test_a_file_is_read_whoever_has_locked_it(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    write(tmp_path / "file.h5")
    with (tmp_path / "file.h5").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with reading_hdf5(tmp_path / "file.h5", "") as file:
            assert file["values"][1] == 1


def test_a_reader_keeps_the_file_that_it_opened(tmp_path: Path) -> None:
    write(tmp_path / "file.h5")
    with reading_hdf5(tmp_path / "file.h5", "") as file:
        write(tmp_path / "file.h5", -VALUES)
        assert (file["values"][:] == VALUES).all()
    with reading_hdf5(tmp_path / "file.h5", "") as file:
        assert (file["values"][:] == -VALUES).all()


@pytest.mark.parametrize("length", [0, 1, 8, 95, 2000, -1])
def test_a_torn_file_is_damage_in_one_line_that_ends_with_the_remedy(tmp_path: Path, length: int) -> None:
    write(tmp_path / "file.h5")
    (tmp_path / "file.h5").write_bytes((tmp_path / "file.h5").read_bytes()[:length])
    with (
        pytest.raises(DamagedFile, match=r"^[^\n]*file\.h5 is damaged: [^\n]+; do this\Z"),
        reading_hdf5(tmp_path / "file.h5", "do this") as file,
    ):
        assert (file["values"][:] == VALUES).all()


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), TypeError("x"), OSError("x"), ValueError()])
def test_what_is_not_as_expected_inside_is_damage(tmp_path: Path, error: Exception) -> None:
    write(tmp_path / "file.h5")
    with (
        pytest.raises(DamagedFile, match=r"file\.h5 is damaged: .*; do this"),
        reading_hdf5(tmp_path / "file.h5", "do this"),
    ):
        raise error


@pytest.mark.parametrize("error", [NewerFormat("x"), DamagedFile("x"), PermissionError("x"), FileNotFoundError("x")])
def test_what_is_told_already_is_not_told_twice(tmp_path: Path, error: Exception) -> None:
    write(tmp_path / "file.h5")
    with pytest.raises(type(error), match=r"^x$"), reading_hdf5(tmp_path / "file.h5", "do this"):
        raise error


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), reading_hdf5(tmp_path / "file.h5", "do this"):
        pass
    assert os.listdir(tmp_path) == []
