"""The feature set against a dictionary: whatever is committed, merged or killed, it says the same."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import FeatureSet, MissingFeatures, plan_extraction
from demijohn.cache import features as module
from demijohn.cache.part import keys_to_array, write_part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rows import WIDTH, feature_set, key, recipe, row, rows


def visible(features: FeatureSet) -> dict[bytes, bytes]:
    """Return what features.h5 shows to any HDF5 reader."""
    with h5py.File(features.path) as file:
        keys = [each.tobytes() for each in file["keys"][:]]
        assert keys == sorted(set(keys))
        return dict(zip(keys, [each.tobytes() for each in file["features"][:]], strict=True))


def expected(numbers: set[int]) -> dict[bytes, bytes]:
    return {key(number): row(number).tobytes() for number in numbers}


def add(features: FeatureSet, numbers: range | list[int]) -> None:
    with features.writer() as writer:
        writer.add(*rows(numbers))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=9), max_size=5), max_size=5), st.data())
def test_against_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    sessions: list[list[list[int]]],
    data: st.DataObject,
) -> None:
    monkeypatch.setattr(module, "COMMIT_ROWS", 4)
    monkeypatch.setattr(module, "MERGE_AT_ONCE", data.draw(st.sampled_from([2, 3, 64])))
    monkeypatch.setattr(module, "MAX_MAPPINGS", data.draw(st.sampled_from([1, 4, 1024])))
    monkeypatch.setattr(module, "PART_BYTES", data.draw(st.sampled_from([4 * WIDTH * 5, 64 << 20])))
    folder = tmp_path_factory.mktemp("store")
    told: set[int] = set()
    for session in sessions:
        with feature_set(folder).writer() as writer:
            for numbers in session:
                writer.add(*rows(numbers))
                told.update(numbers)
        features = FeatureSet.load(feature_set(folder).folder)
        assert features.keys() == {key(number) for number in told}
        asked = data.draw(st.lists(st.sampled_from(sorted(told)), max_size=20)) if told else []
        assert features.read([key(number) for number in asked]).tobytes() == rows(asked)[1].tobytes()
        if told:
            assert visible(features) == expected(told)
            assert features.width == WIDTH


def test_missing_rows_are_counted_and_the_command_is_named(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with pytest.raises(MissingFeatures, match="1 of 1 images have no features of xception"):
        features.read([key(1)])
    add(features, range(5))
    with pytest.raises(MissingFeatures, match=rf"2 of 6 .*{key(8).hex()[:12]}.*extract-features --backbone xception"):
        features.read([key(number) for number in (0, 1, 8, 2, 9, 3)])


def test_a_clean_end_merges_the_own_parts_and_leaves_the_old_ones_for_a_day(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with features.writer() as writer:
        for number in range(5):
            writer.add(*rows([number]))
            writer.commit()
    assert [len(part.keys) for part in features.parts()] == [5]
    assert len(list(features.folder.glob("parts/*.h5"))) == 6
    add(features, [77])
    assert len(list(features.folder.glob("parts/*.h5"))) == 7
    merged = next(part.path for part in features.parts() if len(part.keys) == 5)
    old = time.time() - 25 * 3600
    os.utime(merged, (old, old))
    add(features, [78])
    assert len(list(features.folder.glob("parts/*.h5"))) == 3
    assert visible(features) == expected({*range(5), 77, 78})


def test_merging_in_two_steps_leaves_nothing_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MERGE_AT_ONCE", 3)
    monkeypatch.setattr(module, "PART_BYTES", 4 * WIDTH * 4)
    features = feature_set(tmp_path)
    with features.writer() as writer:
        for number in range(10):
            writer.add(*rows([number]))
            writer.commit()
    assert [len(part.keys) for part in features.parts()].count(4) == 2
    assert len(list(features.folder.glob("parts/*.h5"))) == 10 + 3
    assert features.keys() == {key(number) for number in range(10)}
    assert visible(features) == expected(set(range(10)))


def test_a_merge_that_dies_before_its_last_part_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 4 * WIDTH * 4)
    features = feature_set(tmp_path)
    written = 0

    def dying(*arguments: object, **options: object) -> Path:
        nonlocal written
        written += 1
        if written == 4:
            raise KeyboardInterrupt
        return write_part(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_part", dying)
    writer = features.writer()
    for start in (0, 6):
        writer.add(*rows(range(start, start + 6)))
        writer.commit()
    with pytest.raises(KeyboardInterrupt):
        writer.__exit__(None, None, None)
    assert features.keys() == {key(number) for number in range(12)}
    assert features.read(rows(range(12))[0]).tobytes() == rows(range(12))[1].tobytes()


def test_rows_are_committed_by_number_by_time_and_whenever_the_block_is_left(tmp_path: Path) -> None:
    features, now = feature_set(tmp_path), [0.0]
    writer = module.FeatureWriter(features, clock=lambda: now[0])
    writer.add(*rows(range(511)))
    assert not features.keys()
    writer.add(*rows([511]))
    assert len(features.keys()) == 512
    writer.add(*rows([600]))
    assert len(features.keys()) == 512
    now[0] = 2.0
    writer.add(*rows([601]))
    assert len(features.keys()) == 514
    writer.add(*rows([700]))
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert len(features.keys()) == 515


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    keys, values = rows([1])
    values[0, 2] = value
    with pytest.raises(ValueError, match="finite"), feature_set(tmp_path).writer() as writer:
        writer.add(keys, values)
    assert not feature_set(tmp_path).keys()


def test_a_lost_part_is_nan_to_other_readers_and_an_error_to_ours(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, range(4))
    add(features, range(4, 8))
    features.parts()[0].path.unlink()
    with h5py.File(features.path) as file:
        assert np.isnan(file["features"][:]).all(axis=1).sum() == 4
    with pytest.raises(MissingFeatures, match="4 of 8"):
        features.read(rows(range(8))[0])


def test_a_reader_looks_again_where_a_part_has_just_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = feature_set(tmp_path)
    add(features, range(4))
    add(features, range(4, 8))
    listed = features.parts()
    features.merge(part.path.name for part in listed)
    for part in listed:
        part.path.unlink()
    answers = [listed]
    parts = FeatureSet.parts
    monkeypatch.setattr(FeatureSet, "parts", lambda self: answers.pop() if answers else parts(self))
    assert features.read(rows(range(8))[0]).tobytes() == rows(range(8))[1].tobytes()


def test_partial_files_are_not_read_and_those_of_the_dead_are_removed(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, range(3))
    whole = features.parts()[0].path
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    names = {pid: f"x.h5.{os.uname().nodename}.{pid}.partial" for pid in (int(dead.stdout), os.getppid())}
    for name in names.values():
        (whole.parent / name).write_bytes(whole.read_bytes())
    (whole.parent / "x.h5.elsewhere.1.partial").touch()
    assert len(features.parts()) == 1
    add(features, [9])
    left = {path.name for path in whole.parent.glob("*.partial")}
    assert left == {names[os.getppid()], "x.h5.elsewhere.1.partial"}


def test_the_first_provenance_counts(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    assert features.begin({"batch_size": 7}) == {"batch_size": 32}
    assert FeatureSet.load(features.folder).recipe == recipe()


def _write_some(folder: Path, numbers: list[int]) -> None:
    features = feature_set(folder)
    with features.writer() as writer:
        for number in numbers:
            writer.add(*rows([number]))
            writer.commit()


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_some, args=(tmp_path, list(range(n, n + 40)))) for n in (0, 20, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert visible(feature_set(tmp_path)) == expected(set(range(80)))


def _write_for_ever(folder: Path) -> None:
    features = feature_set(folder)
    number = len(features.keys())
    while True:
        with features.writer() as writer:
            for _ in range(5):
                writer.add(*rows([number]))
                writer.commit()
                (folder / "committed").write_text(str(number))
                number += 1


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_instant_every_committed_row_is_right(tmp_path: Path, rounds: int) -> None:
    context, chance = multiprocessing.get_context("spawn"), random.Random(0)
    feature_set(tmp_path)
    for _ in range(rounds):
        worker = context.Process(target=_write_for_ever, args=(tmp_path,))
        worker.start()
        begun = len(feature_set(tmp_path).keys())
        while len(feature_set(tmp_path).keys()) < begun + 2 and worker.is_alive():
            time.sleep(0.01)
        time.sleep(chance.random() * 0.05)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        text = (tmp_path / "committed").read_text()
        keys, values = rows(range(int(text) + 1 if text else begun))
        assert feature_set(tmp_path).read(keys).tobytes() == values.tobytes()
    add(feature_set(tmp_path), [10**6])
    assert not list(feature_set(tmp_path).folder.glob("parts/*.partial"))


@given(st.lists(st.integers(0, 20)), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_a_plan_divides_what_is_wanted(wanted: list[int], present: set[int], refused: set[int]) -> None:
    plan = plan_extraction(map(key, wanted), map(key, present), map(key, refused))
    every = [*plan.missing, *plan.present, *plan.refused]
    assert len(every) == len(set(every))
    assert set(every) == {key(number) for number in wanted}
    assert set(plan.present) == {key(number) for number in wanted if number in present}
    assert list(plan.missing) == list(
        dict.fromkeys(key(number) for number in wanted if number not in present | refused)
    )


def test_a_part_of_equal_keys_counts_once(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    keys, values = rows([3, 4, 3])
    features.commit(keys, values)
    assert [len(part.keys) for part in features.parts()] == [2]
    assert len(keys_to_array(keys)) == 3
