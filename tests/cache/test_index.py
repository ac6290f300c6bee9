"""The index forgets what it must, and is bypassed where it cannot be used."""

import os
import sqlite3
import time
from pathlib import Path

import pytest
from demijohn.cache import FileIndex
from demijohn.cache.index import hash_bytes, hash_file


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """Return a file that was written a minute ago."""
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"picture")
    os.utime(path, (time.time() - 60,) * 2)
    return path


def test_an_unchanged_file_is_recalled_and_a_changed_one_is_not(tmp_path: Path, old_file: Path) -> None:
    index = FileIndex(tmp_path / "store" / "images.sqlite")
    assert index.recall([old_file]) == {}
    assert not (tmp_path / "store").exists()
    index.remember([hash_file(old_file)])
    assert index.recall([old_file, tmp_path / "gone"]) == {old_file: hash_bytes(b"picture")}
    stamp = old_file.stat().st_mtime
    old_file.write_bytes(b"pictures")
    os.utime(old_file, (stamp, stamp))
    assert index.recall([old_file]) == {}
    old_file.write_bytes(b"erutcip")
    assert index.recall([old_file]) == {}


@pytest.mark.parametrize("offset", [-1.5, 0, 1.5])
def test_a_file_hashed_within_two_seconds_of_its_mtime_is_not_trusted(
    tmp_path: Path, old_file: Path, offset: float
) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    os.utime(old_file, (time.time() + offset,) * 2)
    index.remember([hash_file(old_file)])
    assert index.recall([old_file]) == {}


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 50, b"x"])
def test_a_damaged_index_is_rebuilt(tmp_path: Path, old_file: Path, content: bytes) -> None:
    path = tmp_path / "images.sqlite"
    path.write_bytes(content)
    index = FileIndex(path)
    assert index.recall([old_file]) == {}
    index.remember([hash_file(old_file)])
    assert old_file in index.recall([old_file])


def test_a_locked_index_is_bypassed(tmp_path: Path, old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "images.sqlite"
    index = FileIndex(path)
    index.remember([hash_file(old_file)])
    connect = sqlite3.connect
    with connect(path, isolation_level=None) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", lambda *words, **options: connect(*words, **{**options, "timeout": 0}))
        assert index.recall([old_file]) == {}
        index.remember([hash_file(old_file)])
        lock.execute("ROLLBACK")
    lock.close()
    assert old_file in index.recall([old_file])


def test_an_index_that_cannot_be_a_file_is_bypassed(tmp_path: Path, old_file: Path) -> None:
    (tmp_path / "images.sqlite").mkdir()
    index = FileIndex(tmp_path / "images.sqlite")
    index.remember([hash_file(old_file)])
    assert index.recall([old_file]) == {}


def test_the_arrays_of_a_weights_file_are_remembered_per_backbone(tmp_path: Path) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    index.remember_weights(b"f" * 32, "xception keras-3", "abc")
    assert index.recall_weights(b"f" * 32, "xception keras-3") == "abc"
    assert index.recall_weights(b"f" * 32, "xception keras-4") is None
    assert index.recall_weights(b"g" * 32, "xception keras-3") is None
