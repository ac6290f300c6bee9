"""The feature set against a dictionary: whatever is committed, merged or killed, it says the same."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureSet, FeatureWriter, MissingFeatures, Probe, merge_parts, plan_extraction
from demijohn.cache import merging as module
from demijohn.cache.files import machine_name
from demijohn.cache.part import keys_from_array, keys_to_array, open_part, write_part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rows import PROBE, WIDTH, feature_set, key, recipe, row, rows


def visible(features: FeatureSet) -> dict[bytes, bytes]:
    """Return what features.h5 shows to any HDF5 reader."""
    with h5py.File(features.path) as file:
        keys = [each.tobytes() for each in file["keys"][:]]
        assert keys == sorted(set(keys))
        return dict(zip(keys, [each.tobytes() for each in file["features"][:]], strict=True))


def expected(numbers: set[int]) -> dict[bytes, bytes]:
    return {key(number): row(number).tobytes() for number in numbers}


def add(features: FeatureSet, numbers: range | list[int]) -> None:
    with FeatureWriter(features) as writer:
        writer.add(*rows(numbers))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=9), max_size=5), max_size=5), st.data())
def test_against_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    sessions: list[list[list[int]]],
    data: st.DataObject,
) -> None:
    # Waiting for the disk would take most of the time, and no test can see it.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr("demijohn.cache.writer.COMMIT_ROWS", 4)
    monkeypatch.setattr(module, "MERGE_AT_ONCE", data.draw(st.sampled_from([2, 3, 64])))
    monkeypatch.setattr(module, "MAX_MAPPINGS", data.draw(st.sampled_from([1, 4, 1024])))
    monkeypatch.setattr(module, "PART_BYTES", data.draw(st.sampled_from([4 * WIDTH * 5, 64 << 20])))
    folder = tmp_path_factory.mktemp("store")
    told: set[int] = set()
    for session in sessions:
        with FeatureWriter(feature_set(folder)) as writer:
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


def test_rows_are_committed_by_number_by_time_and_whenever_the_block_is_left(tmp_path: Path) -> None:
    features, now = feature_set(tmp_path), [0.0]
    writer = FeatureWriter(features, clock=lambda: now[0])
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
    with pytest.raises(ValueError, match="finite"), FeatureWriter(feature_set(tmp_path)) as writer:
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
    merge_parts(features, [part.path.name for part in listed])
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
    names = {pid: f"x.h5.{machine_name()}.{pid}.partial" for pid in (int(dead.stdout), os.getppid())}
    for name in names.values():
        (whole.parent / name).write_bytes(whole.read_bytes())
    (whole.parent / "x.h5.elsewhere.1.partial").touch()
    assert len(features.parts()) == 1
    add(features, [9])
    left = {path.name for path in whole.parent.glob("*.partial")}
    assert left == {names[os.getppid()], "x.h5.elsewhere.1.partial"}


def test_the_first_provenance_counts(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    begun = features.begin({"batch_size": 7}, Probe({}))
    assert begun.provenance == {"batch_size": 32}
    assert begun.probe.difference(PROBE) == 0
    assert FeatureSet.load(features.folder).recipe == recipe()


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


def test_a_row_in_two_parts_counts_once(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, [1, 2, 3])
    add(features, [3, 4])
    assert len(features.parts()) == 2
    assert features.keys() == {key(number) for number in (1, 2, 3, 4)}
    assert visible(features) == expected({1, 2, 3, 4})


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_rows_added_before_any_error_are_kept(tmp_path: Path, kind: type[BaseException]) -> None:
    def work() -> None:
        with FeatureWriter(feature_set(tmp_path)) as writer:
            writer.add(*rows([1, 2]))
            raise kind

    with pytest.raises(kind):
        work()
    assert feature_set(tmp_path).read([key(2)]).tobytes() == row(2).tobytes()
    feature_set(tmp_path).refresh()
    assert visible(feature_set(tmp_path)) == expected({1, 2})


def test_a_refused_batch_takes_no_other_with_it(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    writer = FeatureWriter(features)
    writer.add(*rows([1]))
    keys, values = rows([2, 3])
    values[1, 0] = -np.inf
    with pytest.raises(ValueError, match="finite"):
        writer.add(keys, values)
    with pytest.raises(ValueError, match="one row per key, found 2 keys and rows of shape"):
        writer.add(keys, values[:1])
    writer.add(*rows([4]))
    writer.commit()
    assert features.keys() == {key(1), key(4)}


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


def test_damage_is_told_with_its_file_and_mended_by_moving_it_away(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, range(4))
    add(features, range(4, 8))
    whole, hurt = features.parts()
    start = open_part(hurt.path, features.digest).offset
    content = bytearray(hurt.path.read_bytes())
    content[start] ^= 1
    hurt.path.write_bytes(content)
    with pytest.raises(DamagedFile, match=hurt.path.name):
        features.read(rows(range(8))[0])
    unhurt = [number for number in range(8) if key(number) in set(keys_from_array(whole.keys))]
    assert features.read(rows(unhurt)[0]).tobytes() == rows(unhurt)[1].tobytes()
    hurt.path.rename(tmp_path / "away")
    add(features, [number for number in range(8) if number not in unhurt])
    assert visible(features) == expected(set(range(8)))


@pytest.mark.parametrize("name", ["foreign.h5", "0.h5"])
def test_a_foreign_file_among_the_parts_is_told(tmp_path: Path, name: str) -> None:
    features = feature_set(tmp_path)
    add(features, [1])
    (features.folder / "parts" / name).write_text("not HDF5")
    for question in (features.keys, features.parts, lambda: features.read([key(1)])):
        with pytest.raises(DamagedFile, match=f"{name} is damaged"):
            question()


def test_two_sets_over_one_folder_add_in_turns(tmp_path: Path) -> None:
    one, other = feature_set(tmp_path), feature_set(tmp_path)
    with FeatureWriter(one) as first, FeatureWriter(other) as second:
        for number in range(0, 12, 2):
            first.add(*rows([number]))
            second.add(*rows([number, number + 1]))
            first.commit()
            second.commit()
    assert visible(one) == expected(set(range(12)))
    assert one.keys() == other.keys()


def test_asking_a_set_that_was_never_begun_creates_nothing(tmp_path: Path) -> None:
    features = FeatureSet(tmp_path / "store" / "features" / "x", recipe())
    assert (features.parts(), features.keys(), features.width, features.begun) == ([], set(), 0, None)
    assert features.read([]).shape == (0, 0)
    merge_parts(features, [])
    features.refresh()
    assert not list(tmp_path.iterdir())


def test_recipe_json_says_recipe_and_provenance_to_anybody(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    about = json.loads((features.folder / "recipe.json").read_text())
    assert about == {"recipe": features.recipe.to_json(), "provenance": {"batch_size": 32}, "probe": PROBE.to_json()}
    assert features.folder.name == features.recipe.folder


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recipe": {}}', '{"recipe": {}, "provenance": 3}', '{"recipe": 3}'])
def test_a_damaged_recipe_json_is_told(tmp_path: Path, text: str) -> None:
    features = feature_set(tmp_path)
    (features.folder / "recipe.json").write_text(text)
    with pytest.raises(DamagedFile, match=r"recipe\.json is damaged"):
        FeatureSet.load(features.folder)
    with pytest.raises(DamagedFile, match=r"recipe\.json is damaged"):
        features.begin({}, PROBE)


def test_rows_are_copied_when_they_are_added(tmp_path: Path) -> None:
    features, (keys, values) = feature_set(tmp_path), rows([1, 2])
    buffer = values.copy()
    with FeatureWriter(features) as writer:
        writer.add(keys, buffer)
        buffer[:] = 7
    assert features.read(keys).tobytes() == values.tobytes()
