"""Merged parts supersede others at once, hide nothing, and old ones go a day later."""

import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import FeatureSet
from demijohn.cache import merging as module
from demijohn.cache.merging import merge_parts, prune_rows
from demijohn.cache.part import write_part
from demijohn.cache.writer import FeatureWriter
from support.rows import WIDTH, add, expected, feature_set, key, recipe, rows, visible


def test_a_clean_end_merges_the_own_parts_and_leaves_the_old_ones_for_a_day(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with FeatureWriter(features) as writer:
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
    with FeatureWriter(features) as writer:
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
        if written == 3:
            raise KeyboardInterrupt
        return write_part(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_part", dying)
    writer = FeatureWriter(features)
    for start in (0, 6):
        writer.add(*rows(range(start, start + 6)))
        writer.commit()
    with pytest.raises(KeyboardInterrupt):
        writer.__exit__(None, None, None)
    assert features.keys() == {key(number) for number in range(12)}
    assert features.read(rows(range(12))[0]).tobytes() == rows(range(12))[1].tobytes()


def test_superseded_parts_are_ignored_at_once_and_deleted_after_a_day(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    for number in range(3):
        features.commit(*rows([number]))
    old = {part.path.name for part in features.parts()}
    merge_parts(features, old)
    (merged,) = features.parts()
    assert merged.supersedes == old
    for hours, left in ((23, old), (25, set())):
        stamp = time.time() - hours * 3600
        os.utime(merged.path, (stamp, stamp))
        merge_parts(features, [])
        assert {path.name for path in features.folder.glob("parts/*.h5")} == left | {merged.path.name}
        assert visible(features) == expected({0, 1, 2})


def test_what_is_merged_again_inherits_what_is_still_there(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    for numbers in ([0], [1], [2]):
        features.commit(*rows(numbers))
    first = {part.path.name for part in features.parts()}
    merge_parts(features, first)
    features.commit(*rows([3]))
    second = {part.path.name for part in features.parts()}
    merge_parts(features, second)
    (merged,) = features.parts()
    assert merged.supersedes == first | second
    stamp = time.time() - 25 * 3600
    os.utime(merged.path, (stamp, stamp))
    merge_parts(features, [])
    assert list(features.folder.glob("parts/*.h5")) == [merged.path]
    assert visible(features) == expected({0, 1, 2, 3})


def test_who_has_features_h5_open_reads_on_during_a_merge(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, range(4))
    add(features, range(4, 8))
    with h5py.File(features.path) as file:
        merge_parts(features)
        assert len(features.parts()) == 1
        assert not np.isnan(file["features"][:]).any()
        shown = zip(file["keys"], file["features"], strict=True)
        assert {one.tobytes(): other.tobytes() for one, other in shown} == expected(set(range(8)))


def test_parts_that_interleave_too_finely_are_merged_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MAPPINGS", 8)
    features = feature_set(tmp_path)
    add(features, range(0, 8, 2))
    add(features, range(100, 101))
    assert len(features.parts()) == 2
    add(features, range(1, 40, 2))
    assert len(features.parts()) == 1
    assert visible(features) == expected({*range(0, 8, 2), 100, *range(1, 40, 2)})


def test_without_locks_a_part_that_another_merge_removed_costs_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = feature_set(tmp_path)
    for number in range(3):
        features.commit(*rows([number]))
    listed = features.parts()
    merge_parts(features)
    for part in listed:
        part.path.unlink()
    parts, answers = FeatureSet.parts, [listed]
    monkeypatch.setattr(FeatureSet, "parts", lambda self: answers.pop() if answers else parts(self))
    assert not merge_parts(features)
    assert visible(features) == expected({0, 1, 2})


def test_what_was_never_begun_has_nothing_to_prune(tmp_path: Path) -> None:
    features = FeatureSet(tmp_path / "none", recipe())
    assert prune_rows(features, set()) == (0, 0)
    assert not features.folder.exists()
    features = feature_set(tmp_path)
    add(features, range(6))
    rows_gone, bytes_gone = prune_rows(features, {key(number) for number in range(4)}) or (0, 0)
    assert rows_gone == 2
    assert bytes_gone > 0
    assert visible(features) == expected(set(range(4)))
