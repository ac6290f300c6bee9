"""A lock is had by one at a time, ends with its process, and never stands in the way where there are none."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
from demijohn.cache import StoreNotWritable
from demijohn.cache.locks import locked
from demijohn.cache.merging import merge_parts
from demijohn.cache.writer import FeatureWriter
from support.rows import feature_set, rows

HOLD = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); input()"


def hold(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    return holder


def test_one_at_a_time_and_free_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    holder = hold(path)
    with locked(path) as had:
        assert not had
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with locked(path, seconds=5) as had:
        assert had


def test_a_busy_merge_is_left_to_the_other_and_costs_no_row(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.commit(*rows([1]))
    holder = hold(features.folder / ".merge.lock")
    started = time.monotonic()
    with FeatureWriter(features) as writer:
        for number in (2, 3):
            writer.add(*rows([number]))
            writer.commit()
    assert not merge_parts(features)
    assert time.monotonic() - started < 5
    assert len(features.parts()) == 3
    assert features.keys() == set(rows([1, 2, 3])[0])
    holder.communicate("\n")
    assert merge_parts(features)
    assert len(features.parts()) == 1


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOSYS, "none"), OSError(errno.ENOLCK, "none")])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with locked(tmp_path / "x.lock") as had:
        assert had


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EMFILE])
def test_what_is_no_lack_of_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, "injected")

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with pytest.raises(StoreNotWritable, match=r"cannot write .*x\.lock"), locked(tmp_path / "x.lock"):
        pytest.fail("the block was entered")


def test_an_error_within_the_block_frees_the_lock_and_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), locked(tmp_path / "x.lock"):
        raise OSError(errno.ENOLCK, "mine")
    with locked(tmp_path / "x.lock") as had:
        assert had
