"""Full disks, kills and several processes at once, all of them real: nothing that was committed is lost or wrong."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import FeatureSet, StoreNotWritable
from demijohn.cache import merging as module
from demijohn.cache.merging import merge_parts
from demijohn.cache.writer import FeatureWriter
from support.rows import WIDTH, feature_set, key, row, rows

Adding = Callable[..., subprocess.Popen[str]]


def begin(process: subprocess.Popen[str]) -> None:
    """Let a process begin that has said it is ready."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    line = process.stdout.readline()
    assert line == "ready\n", process.communicate()


def check(features: FeatureSet, at_least: int, at_most: int) -> set[int]:
    """Check every row that is there, and that the numbers below `at_least` are; return the numbers."""
    names = {key(number): number for number in range(at_most)}
    present = features.keys()
    numbers = sorted(names[each] for each in present)
    assert numbers[:at_least] == list(range(at_least))
    assert features.read([key(number) for number in numbers]).tobytes() == rows(numbers)[1].tobytes()
    return set(numbers)


def check_visible(features: FeatureSet, numbers: set[int]) -> None:
    """Check that features.h5 shows these rows and no others, in the order of their keys."""
    expected = sorted((key(number), row(number).tobytes()) for number in numbers)
    with h5py.File(features.path) as file:
        shown = [(one.tobytes(), other.tobytes()) for one, other in zip(file["keys"], file["features"], strict=True)]
    assert shown == expected


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit for the size of files")
def test_a_full_disk_is_told_and_the_work_goes_on_when_there_is_room(tmp_path: Path, adding: Adding) -> None:
    process = adding("full")
    out, err = process.communicate("\n")
    assert process.returncode == 0, err
    assert err == ""
    messages = out.splitlines()[1:]
    assert len(messages) == 10
    for message in messages:
        assert "File too large" in message
        assert "free some space" in message
        assert "what was stored before is intact" in message
    features = feature_set(tmp_path)
    assert check(features, 400, 400) == set(range(400))
    check_visible(features, set(range(400)))
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_at_any_instant_every_committed_row_is_right(tmp_path: Path, adding: Adding, rounds: int) -> None:
    chance, committed = random.Random(0), 0
    for _ in range(rounds):
        process = adding("endlessly", committed)
        wait_until_ready(process)
        begin(process)
        if not committed:
            assert process.stdout
            committed = int(process.stdout.readline())
        time.sleep(chance.random() * 0.2)
        os.kill(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        committed = max([committed, *map(int, out.split())])
        check(feature_set(tmp_path), committed, committed + 99)
    features = feature_set(tmp_path)
    with FeatureWriter(features) as writer:
        writer.add(*rows(range(5)))
    check_visible(features, check(features, committed, committed + 99))
    assert not list(tmp_path.rglob("parts/*.partial"))


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path, adding: Adding) -> None:
    processes = [adding("add", first, first + 40) for first in (0, 20, 40, 60)]
    for process in processes:
        wait_until_ready(process)
    for process in processes:
        begin(process)
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    features = feature_set(tmp_path)
    assert check(features, 100, 100) == set(range(100))
    merge_parts(features, [])
    check_visible(features, set(range(100)))


def test_a_reader_beside_writers_sees_rows_come_and_never_go(tmp_path: Path, adding: Adding) -> None:
    processes = [adding("endlessly", first) for first in (0, 6)]
    for process in processes:
        wait_until_ready(process)
    for process in processes:
        begin(process)
    seen: set[int] = set()
    while len(seen) < 80:
        assert all(process.poll() is None for process in processes)
        now = check(feature_set(tmp_path), 0, 10_000)
        assert seen <= now
        seen = now


def test_a_writer_goes_on_after_a_full_disk_with_all_that_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "injected")

    features = feature_set(tmp_path)
    features.commit(*rows([9]))
    writer = FeatureWriter(features)
    writer.add(*rows([1]))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreNotWritable, match="free some space"):
            writer.commit()
        assert features.keys() == {key(9)}
    writer.add(*rows([2]))
    writer.__exit__(None, None, None)
    check_visible(features, {1, 2, 9})


def test_a_full_disk_ends_a_session_with_that_error_and_keeps_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "injected")

    def work(patch: pytest.MonkeyPatch) -> None:
        with FeatureWriter(feature_set(tmp_path)) as writer:
            writer.add(*rows([1]))
            writer.commit()
            patch.setattr(os, "fsync", full)
            writer.add(*rows([2]))

    with monkeypatch.context() as patch, pytest.raises(StoreNotWritable, match="stored before is intact"):
        work(patch)
    assert feature_set(tmp_path).keys() == {key(1)}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("small", [False, True], ids=["one part", "ranges in two steps"])
def test_stopped_before_any_step_on_disk_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if small:
        monkeypatch.setattr(module, "MERGE_AT_ONCE", 2)
        monkeypatch.setattr(module, "PART_BYTES", 4 * WIDTH * 3)
    steps, last, ended = 0, 0, False

    def counted(owner: object, name: str) -> None:
        function = getattr(owner, name)

        def step(*arguments: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps >= last:
                raise Killed
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, step)

    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    counted(os, "fsync")
    counted(os, "replace")
    while not ended:
        last += 1
        store, steps, told = tmp_path / str(last), -1000, 0
        features = feature_set(store)
        with FeatureWriter(features) as writer:
            writer.add(*rows(range(6)))
        merged = features.parts()[0].path
        os.utime(merged, (1, 1))
        steps = 0
        try:
            with FeatureWriter(features) as writer:
                for told in range(6, 15, 3):
                    writer.add(*rows(range(told, told + 3)))
                    writer.commit()
            ended = True
            told = 15
        except Killed:
            pass
        steps = -1000
        check(feature_set(store), told, 15)
        with FeatureWriter(features) as writer:
            writer.add(*rows(range(4, 15)))
        assert check(feature_set(store), 15, 15) == set(range(15))
        check_visible(features, set(range(15)))
        assert not np.isnan(features.read([key(number) for number in range(15)])).any()
    assert last > 12
