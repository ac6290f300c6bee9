"""A feature set gives the rows asked for, says what is missing, and tells damage with its file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureSet, MissingFeatures
from demijohn.cache.features import Speed
from demijohn.cache.files import machine_name
from demijohn.cache.merging import merge_parts
from demijohn.cache.part import keys_from_array, keys_to_array, open_part
from demijohn.cache.probe import Probe
from demijohn.cache.writer import FeatureWriter
from support.rows import PROBE, add, expected, feature_set, key, recipe, rows, visible


def test_missing_rows_are_counted_and_the_command_is_named(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with pytest.raises(MissingFeatures, match="1 of 1 pictures have no features of xception"):
        features.read([key(1)])
    add(features, range(5))
    with pytest.raises(MissingFeatures, match=rf"2 of 6 .*{key(8).hex()[:12]}.*extract-features --backbone xception"):
        features.read([key(number) for number in (0, 1, 8, 2, 9, 3)])


def test_which_of_some_keys_have_a_row(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    assert features.find([key(1)]) == set()
    for numbers in (range(4), range(8, 12), range(3, 10)):
        add(features, numbers)
    asked = [key(number) for number in (11, 3, 7, 3, 50, 0, 14)]
    assert features.find(asked) == {key(number) for number in (0, 3, 7, 11)}
    assert features.find([]) == set()


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


def test_when_it_was_last_used_and_how_fast_it_was_made(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    assert (features.last_use, features.speed) == (None, None)
    features.note_use()
    os.utime(features.folder / "last-use", (1e9, 1e9))
    assert features.last_use == 1e9
    features.note_use()
    assert features.last_use is not None
    assert features.last_use > 1e9
    for images, rate in ((100, 50.0), (99, 70.0), (100, 60.0)):
        features.note_speed(Speed(rate, images, shared=False))
    # What is known of more pictures counts, and of as many what is known since.
    assert FeatureSet.load(features.folder).speed == Speed(60.0, 100, shared=False)
    (features.folder / "speed.json").write_text('{"images": 3}')
    assert features.speed is None
