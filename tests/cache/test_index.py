"""The index forgets what it must, and is bypassed where it cannot be used."""

import errno
import hashlib
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from demijohn.cache.index import FileIndex, Stamp, hash_bytes, hash_file
from hypothesis import given, settings
from hypothesis import strategies as st


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


@pytest.mark.parametrize("few", [0, 3])
def test_many_are_recalled_as_few_are(
    tmp_path: Path, old_file: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("demijohn.cache.index._FEW", few)
    monkeypatch.chdir(tmp_path)
    index = FileIndex(tmp_path / "images.sqlite")
    index.remember([hash_file(old_file)])
    known = hash_bytes(b"picture")
    assert index.recall([old_file.name, "gone"]) == {old_file.name: known}
    assert index.recall([old_file]) == {old_file: known}
    assert index.recall([old_file, *map(Path, "abcdefgh")]) == {old_file: known}
    assert index.recall([]) == {}


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


def test_what_was_hashed_too_early_is_not_trusted_however_late_it_is_remembered(
    tmp_path: Path, old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    os.utime(old_file)
    hashed = hash_file(old_file)
    later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    index.remember([hashed])
    assert index.recall([old_file]) == {}


@pytest.mark.parametrize(("after", "trusted"), [(2_000_000_000, False), (2_000_000_001, True), (0, False)])
def test_the_limit_of_trust_is_two_seconds(tmp_path: Path, old_file: Path, after: int, trusted: bool) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    hashed = hash_file(old_file)
    index.remember([replace(hashed, hashed_ns=hashed.mtime_ns + after)])
    assert (old_file in index.recall([old_file])) == trusted


def test_the_stamp_is_older_than_the_bytes(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old_file.stat()

    def digest(file: BinaryIO, kind: str) -> object:
        content = file.read()
        old_file.write_bytes(b"changed while it was read")
        return hashlib.new(kind, content)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    hashed = hash_file(old_file)
    assert (hashed.size, hashed.mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert hashed.key == hash_bytes(b"picture")


@given(st.binary(max_size=300_000))
@settings(deadline=None, max_examples=20)
def test_a_file_has_the_key_of_its_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        assert hash_file(path).key == hash_bytes(content) == hashlib.sha256(content).digest()


def test_a_file_is_the_same_by_any_path_to_it(tmp_path: Path, old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    monkeypatch.chdir(tmp_path)
    index.remember([hash_file(Path(old_file.name))])
    assert index.recall([old_file]) == {old_file: hash_bytes(b"picture")}
    assert index.recall([Path(old_file.name)]) == {Path(old_file.name): hash_bytes(b"picture")}


def test_the_last_memory_of_a_file_counts(tmp_path: Path, old_file: Path) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    index.remember([hash_file(old_file)])
    old_file.write_bytes(b"another picture")
    os.utime(old_file, (1, 1))
    index.remember([hash_file(old_file)])
    assert FileIndex(tmp_path / "images.sqlite").recall([old_file]) == {old_file: hash_bytes(b"another picture")}


def test_a_torn_index_is_never_believed_and_works_again(tmp_path: Path, old_file: Path) -> None:
    path = tmp_path / "images.sqlite"
    index = FileIndex(path)
    index.remember([hash_file(old_file)])
    index.remember_weights(b"f" * 32, "xception", "abc")
    whole = path.read_bytes()
    for length in range(0, len(whole), 509):
        path.write_bytes(whole[:length])
        assert index.recall([old_file]).get(old_file) in (None, hash_bytes(b"picture"))
        index.remember([hash_file(old_file)])
        assert index.recall([old_file]) == {old_file: hash_bytes(b"picture")}
        assert index.recall_weights(b"f" * 32, "xception") in (None, "abc")


def test_a_store_that_cannot_be_created_is_bypassed(tmp_path: Path, old_file: Path) -> None:
    (tmp_path / "file").touch()
    index = FileIndex(tmp_path / "file" / "images.sqlite")
    index.remember([hash_file(old_file)])
    index.remember_weights(b"f" * 32, "xception", "abc")
    assert index.recall([old_file]) == {}
    assert index.recall_weights(b"f" * 32, "xception") is None


def test_a_damaged_index_that_may_not_be_removed_is_bypassed(
    tmp_path: Path, old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "images.sqlite"
    path.write_bytes(b"no database at all" * 100)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "injected")

    monkeypatch.setattr(Path, "unlink", refuse)
    FileIndex(path).remember([hash_file(old_file)])
    assert FileIndex(path).recall([old_file]) == {}


@pytest.mark.parametrize("what", ["damaged", "of another layout"])
def test_an_index_that_another_process_removes_at_the_same_time_is_rebuilt(
    tmp_path: Path, old_file: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = tmp_path / "images.sqlite"
    if what == "damaged":
        path.write_bytes(b"no database at all" * 100)
    else:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE files (name TEXT)")
    unlink = Path.unlink

    def late(self: Path, missing_ok: bool = False) -> None:
        unlink(self)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    FileIndex(path).remember([hash_file(old_file)])
    assert FileIndex(path).recall([old_file]) == {old_file: hash_bytes(b"picture")}


def test_nothing_to_remember_creates_nothing(tmp_path: Path, old_file: Path) -> None:
    index = FileIndex(tmp_path / "store" / "images.sqlite")
    os.utime(old_file)
    index.remember([])
    index.remember([hash_file(old_file)])
    assert index.recall_weights(b"f" * 32, "xception") is None
    assert not (tmp_path / "store").exists()


def test_a_database_of_another_layout_is_rebuilt(tmp_path: Path, old_file: Path) -> None:
    path = tmp_path / "images.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE files (name TEXT, size INTEGER)")
        other.execute("INSERT INTO files VALUES ('x', 1)")
    other.close()
    index = FileIndex(path)
    assert index.recall([old_file]) == {}
    index.remember([hash_file(old_file)])
    assert list(index.recall([old_file])) == [old_file]


@pytest.mark.parametrize("page", range(6))
def test_zeroed_pages_give_no_wrong_key_and_no_error(tmp_path: Path, page: int) -> None:
    paths = []
    for number in range(200):
        path = tmp_path / f"{number:040d}.jpg"
        path.write_bytes(b"%d" % number)
        os.utime(path, (1, 1))
        paths.append(path)
    index = FileIndex(tmp_path / "images.sqlite")
    index.remember(map(hash_file, paths))
    content = bytearray((tmp_path / "images.sqlite").read_bytes())
    content[4096 * page : 4096 * (page + 1)] = bytes(4096)
    (tmp_path / "images.sqlite").write_bytes(content)
    right = {path: hash_bytes(path.read_bytes()) for path in paths}
    assert index.recall(paths).items() <= right.items()
    index.remember(map(hash_file, paths))


def test_what_lies_elsewhere_is_recalled_by_its_stamp(tmp_path: Path) -> None:
    index = FileIndex(tmp_path / "images.sqlite")
    one, other, vague = "s3://b/one.jpg", "s3://b/" + os.fsdecode(b"caf\xe9.jpg"), "https://host/x.jpg"
    stamps = {one: Stamp(3, "3 ETag a"), other: Stamp(None, "None ETag b"), vague: Stamp(3, "")}
    assert index.recall_objects(stamps) == {}
    index.remember_objects(
        {url: (stamp, hash_bytes(url.encode("utf-8", "surrogateescape"))) for url, stamp in stamps.items()}
    )
    found = index.recall_objects(stamps)
    # What has no stamp that can be trusted is not remembered.
    assert found == {url: hash_bytes(url.encode("utf-8", "surrogateescape")) for url in (one, other)}
    assert index.recall_objects({one: Stamp(3, "3 ETag b"), other: Stamp(None, "")}) == {}


def test_a_database_from_before_there_were_urls_keeps_what_it_knows(tmp_path: Path, old_file: Path) -> None:
    path = tmp_path / "images.sqlite"
    index = FileIndex(path)
    index.remember([hash_file(old_file)])
    with sqlite3.connect(path) as before:
        before.execute("DROP TABLE objects")
    before.close()
    stamps = {"s3://b/x.jpg": Stamp(1, "1 ETag a")}
    assert index.recall_objects(stamps) == {}
    index.remember_objects({url: (stamp, b"k" * 32) for url, stamp in stamps.items()})
    assert index.recall_objects(stamps) == {"s3://b/x.jpg": b"k" * 32}
    assert list(index.recall([old_file])) == [old_file]
