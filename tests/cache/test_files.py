"""Files are complete or absent, whatever fails while they are written."""

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import DamagedFile, StoreNotWritable
from demijohn.cache.files import (
    check_writable,
    machine_name,
    partial_name,
    read_json,
    remove_leftovers,
    replacing,
    replacing_folder,
    write_bytes,
    write_json,
)
from hypothesis import given, settings
from hypothesis import strategies as st

OLD, NEW = b"old", b"the new content"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file that holds OLD, alone in its folder."""
    path = tmp_path / "folder" / "file"
    write_bytes(path, OLD)
    return path


@pytest.fixture
def dead() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def failing(function: Callable[..., Any], number: int, error: BaseException) -> Callable[..., Any]:
    """Return the function, but the call of this number (from 0) raises."""
    calls = iter(range(1_000_000))

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if next(calls) == number:
            raise error
        return function(*arguments, **options)

    return wrapped


def test_a_folder_that_cannot_be_written_is_told_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "store", file / "store" / "features"):
        with pytest.raises(
            StoreNotWritable, match=f"cannot write {folder}: {file} is a file, expected a folder; .* with --store"
        ):
            check_writable(folder)
    check_writable(tmp_path / "new" / "store")
    check_writable(tmp_path)
    assert os.listdir(tmp_path) == ["file"]

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "injected")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StoreNotWritable, match=f"cannot write {tmp_path / 'new'}: Read-only file system"):
        check_writable(tmp_path / "new")


@pytest.mark.parametrize(("name", "number"), [("fsync", 0), ("replace", 0), ("open", 0)])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing(getattr(os, name), number, OSError(code, "injected")))
        with pytest.raises(StoreNotWritable) as caught:
            write_bytes(path, NEW)
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]
    message = str(caught.value)
    assert str(path) in message
    assert os.strerror(code) in message
    assert "--store" in message
    assert "\n" not in message
    assert ("free some space" in message) == (code in (errno.ENOSPC, errno.EDQUOT))
    write_bytes(path, NEW)
    assert path.read_bytes() == NEW


def test_a_folder_that_cannot_be_made_durable_is_told_and_leaves_a_whole_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync, 1, OSError(errno.EIO, "injected")))
        with pytest.raises(StoreNotWritable):
            write_bytes(path, NEW)
    assert path.read_bytes() == NEW
    assert os.listdir(path.parent) == [path.name]


def test_what_is_written_is_durable_before_it_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor: int) -> None:
        folder = os.fstat(descriptor).st_ino == path.parent.stat().st_ino
        done.append("fsync folder" if folder else f"fsync {os.fstat(descriptor).st_size} bytes")
        fsync(descriptor)

    def spy_replace(source: Path, target: Path) -> None:
        assert path.read_bytes() == OLD
        assert source.parent == target.parent
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    write_bytes(path, NEW)
    assert done == [f"fsync {len(NEW)} bytes", "replace", "fsync folder"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(path: Path, kind: type[BaseException]) -> None:
    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(NEW[:3])
            raise kind

    with pytest.raises(kind):
        write_half()
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "file", NEW)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == NEW


def test_a_file_where_a_folder_should_be_is_told(path: Path) -> None:
    with pytest.raises(StoreNotWritable, match="make the folder writable or choose another one with --store"):
        write_bytes(path / "below" / "file", NEW)
    assert path.read_bytes() == OLD


def test_the_same_content_needs_no_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", failing(os.replace, 0, OSError(errno.EROFS, "injected")))
    write_bytes(path, OLD)
    with pytest.raises(StoreNotWritable):
        write_bytes(path, OLD[::-1])


@given(st.dictionaries(st.text(), json_values, max_size=5))
@settings(deadline=None, max_examples=50)
def test_json_round_trip_keeps_the_order(value: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "value.json"
        write_json(path, value)
        assert list(read_json(path).items()) == list(value.items())
        assert json.loads(path.read_text("utf-8")) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_json_that_is_none_is_refused_and_the_old_file_stays(path: Path, value: object) -> None:
    write_json(path, {"old": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"new": value})
    assert read_json(path) == {"old": 1}


def test_torn_json_is_damage_at_every_length(path: Path) -> None:
    write_json(path, {"a": [1, 2, {"b": "ü"}], "c": None})
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFile, match=r"file is damaged: expected a JSON object, found .*; remove it$"):
            read_json(path)


@pytest.mark.parametrize("content", [b"[]", b"1", b"null", b'"{}"', b"\xff\xfe", b"\0" * 64])
def test_anything_but_a_json_object_is_damage(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match="file is damaged"):
        read_json(path)


def test_leftovers_of_the_dead_are_removed_and_nothing_else(tmp_path: Path, dead: int) -> None:
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        keep = {
            "a.h5",
            "partial",
            partial_name(Path("mine.h5")).name,
            f"theirs.h5.{machine_name()}.{living.pid}.partial",
            f"elsewhere.h5.not-{machine_name()}.{dead}.partial",
            f"other.{machine_name()}.word.partial",
            f"a.h5.{machine_name()}.{dead}.partial.h5",
        }
        for name in keep | {f"a.h5.{machine_name()}.{dead}.partial"}:
            (tmp_path / name).touch()
        folder = tmp_path / f"svm-xception-0123456789.{machine_name()}.{dead}.partial"
        folder.mkdir()
        (folder / "run.json").touch()
        remove_leftovers(tmp_path)
        assert set(os.listdir(tmp_path)) == keep
    finally:
        living.communicate()


@pytest.mark.parametrize(("hours", "stays"), [(23, True), (25, False)])
def test_what_another_machine_left_is_removed_after_a_day(tmp_path: Path, hours: int, stays: bool) -> None:
    path = tmp_path / f"a.h5.not-{machine_name()}.1.partial"
    path.touch()
    then = time.time() - hours * 3600
    os.utime(path, (then, then))
    remove_leftovers(tmp_path)
    assert path.exists() is stays


def test_a_process_of_another_user_is_alive(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    path = tmp_path / f"a.h5.{machine_name()}.{dead}.partial"
    path.touch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refused)
        remove_leftovers(tmp_path)
    assert path.exists()
    remove_leftovers(tmp_path)
    assert not path.exists()


def test_leftovers_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "absent")
    assert os.listdir(tmp_path) == []


def test_processes_write_under_different_names(path: Path) -> None:
    code = "import sys, pathlib, demijohn.cache.files as f; print(f.partial_name(pathlib.Path(sys.argv[1])))"
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert Path(other.strip()).parent == path.parent
    assert Path(other.strip()) != partial_name(path)


def test_a_folder_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    with replacing_folder(folder) as temporary:
        (temporary / "file").write_text("one")
        assert not folder.exists()
    assert (folder / "file").read_text() == "one"
    with contextlib.suppress(ZeroDivisionError), replacing_folder(folder) as temporary:
        (temporary / "file").write_text("two")
        raise ZeroDivisionError
    assert (folder / "file").read_text() == "one"
    with replacing_folder(folder) as temporary:
        (temporary / "other").write_text("three")
    assert [path.name for path in folder.iterdir()] == ["other"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_a_write_that_fails_keeps_no_view_of_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in the error's traceback: Python 3.12 crashes where such a buffer is collected."""

    def fail(_descriptor: int, _content: memoryview) -> int:
        raise OSError(errno.ENOSPC, "injected")

    buffer = io.BytesIO(b"content")
    monkeypatch.setattr(os, "write", fail)
    with buffer.getbuffer() as view, pytest.raises(StoreNotWritable) as caught:
        write_bytes(tmp_path / "file", view)
    # It could not grow while anybody looks at its bytes.
    assert caught.traceback
    assert buffer.write(bytes(1000)) == 1000
