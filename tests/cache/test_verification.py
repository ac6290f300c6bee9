"""Verification reads every byte, says what is wrong, and repairing loses nothing that is sound."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import FeatureSet
from demijohn.cache.merging import merge_parts
from demijohn.cache.part import keys_to_array, open_part, write_part
from demijohn.cache.verification import repair_features, verify_features
from demijohn.cache.writer import FeatureWriter
from support.rows import WIDTH, feature_set, key, rows


def add(features: FeatureSet, numbers: range) -> Path:
    with FeatureWriter(features) as writer:
        writer.add(*rows(numbers))
    return next(part.path for part in features.parts() if key(numbers[0]) in part.keys.tobytes())


def test_a_sound_set_is_sound_and_counted(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    assert verify_features(features.folder).parts == 0
    add(features, range(5))
    add(features, range(3, 9))
    found = verify_features(features.folder)
    assert (found.parts, found.rows, found.damaged) == (2, 9, ())
    assert found.bytes == sum(path.stat().st_size for path in features.part_paths())


def test_one_damaged_part_takes_no_other_with_it(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    hurt = add(features, range(4))
    add(features, range(4, 8))
    content = bytearray(hurt.read_bytes())
    content[open_part(hurt, features.digest).offset] ^= 128
    hurt.write_bytes(content)
    found = verify_features(features.folder)
    assert [damage.path for damage in found.damaged] == [hurt]
    assert found.rows == 4
    repair_features(features.folder, found)
    assert features.keys() == {key(number) for number in range(4, 8)}
    with h5py.File(features.path) as file:
        assert file["keys"].shape == (4, 32)
        assert not np.isnan(file["features"][:]).any()
    assert verify_features(features.folder).damaged == ()


def test_a_superseded_part_stands_in_for_a_damaged_one(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    for number in range(3):
        features.commit(*rows([number]))
    merge_parts(features)
    (merged,) = features.parts()
    merged.path.write_bytes(b"gone")
    repair_features(features.folder, verify_features(features.folder))
    assert features.read(rows(range(3))[0]).tobytes() == rows(range(3))[1].tobytes()


@pytest.mark.parametrize(
    ("what", "reason"), [("nan", "not finite"), ("order", "not ascending"), ("width", "expected 5 features per row")]
)
def test_what_no_checksum_tells(tmp_path: Path, what: str, reason: str) -> None:
    features = feature_set(tmp_path)
    keys, values = rows(range(4))
    array, order = keys_to_array(keys), np.argsort(keys_to_array(keys))
    if what == "nan":
        values[2, 1] = np.nan
    elif what == "order":
        order = order[::-1]
    else:
        values = np.ones((4, WIDTH + 1), np.float32)
    write_part(features.parts_folder, array[order], values[order], recipe=features.digest)
    (damage,) = verify_features(features.folder).damaged
    assert reason in damage.reason


def test_a_damaged_recipe_is_moved_aside_and_the_rows_stay(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, range(4))
    (features.folder / "recipe.json").write_text("{}")
    found = verify_features(features.folder)
    assert found.damaged[0].path.name == "recipe.json"
    assert (found.parts, found.rows, found.bytes) == (0, 0, 0), "nothing is known to be sound"
    repair_features(features.folder, found)
    assert len(feature_set(tmp_path).keys()) == 4
