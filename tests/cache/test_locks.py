"""A lock is had by one at a time, ends with its process, and never stands in the way where there are none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
from demijohn.cache import FeatureWriter, merge_parts
from demijohn.cache.locks import locked
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


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with locked(tmp_path / "x.lock") as had:
        assert had
