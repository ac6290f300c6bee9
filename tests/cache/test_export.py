"""An export has a row per picture file that has features, whatever parts these lie in, in either form."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.cache import Dataset, FeatureSet, MissingFeatures, Origin, Row
from demijohn.cache import export as module
from demijohn.cache.export import SUFFIXES, export_features
from demijohn.cache.merging import merge_parts
from support.rows import WIDTH, add, expected, feature_set, key

SPLITS = ("train", "validation", "test", "")


def table(numbers: list[int]) -> Dataset:
    rows = tuple(Row(f"a/{n}.jpg", key(n), f"class {n % 3}", SPLITS[n % 4], f"group {n % 5}") for n in numbers)
    return Dataset(
        "photos", Origin(Path("/photos"), 0), "class folders", (*rows, Row("b/copy.jpg", key(2), "b", "test"))
    )


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if path.suffix == ".npz":
        with np.load(path) as archive:
            found = dict(archive)
        return found, json.loads(str(found.pop("about")))
    with h5py.File(path) as file:
        assert file["features"].fletcher32
        columns = {name: file[name][:] if name == "features" else file[name].asstr()[:] for name in file}
        return columns, dict(file.attrs)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("at_once", [1, 4, 4096])
def test_every_file_of_the_data_set_with_its_row(
    suffix: str, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", at_once)
    features = feature_set(tmp_path)
    for start in range(0, 12, 4):
        add(features, range(start, start + 4))
    # Some files have no features, some features no file.
    dataset = table([*range(9), 40, 41])
    exported = export_features(features, dataset, tmp_path / f"all{suffix}")
    assert (exported.rows, exported.width) == (10, WIDTH)
    assert exported.bytes == exported.path.stat().st_size
    columns, about = read(tmp_path / f"all{suffix}")
    assert set(columns) == {"features", "keys", "paths", "labels", "splits", "groups"}
    assert (columns["features"].shape, columns["features"].dtype) == ((10, WIDTH), np.float32)
    there = {row.path: row for row in dataset.rows}
    rows = expected(set(range(9)))
    assert list(columns["keys"]) == sorted(columns["keys"])
    for at, path in enumerate(columns["paths"]):
        row = there.pop(str(path))
        told = tuple(str(columns[name][at]) for name in ("keys", "labels", "splits", "groups"))
        assert told == (row.key.hex(), row.label, row.split, row.group)
        assert columns["features"][at].tobytes() == rows[row.key]
    assert set(there) == {"a/40.jpg", "a/41.jpg"}
    assert (about["dataset"], about["backbone"], about["digest"]) == ("photos", "xception", features.digest)
    assert json.loads(about["recipe"]) == features.recipe.to_json()


def test_a_part_that_is_merged_meanwhile_is_read_where_it_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = feature_set(tmp_path)
    for start in range(0, 12, 4):
        add(features, range(start, start + 4))
    other = FeatureSet.load(features.folder)

    def merged(self: FeatureSet, parts: Any, keys: Any) -> Any:
        monkeypatch.undo()
        merge_parts(other, {path.name for path in other.part_paths()})
        for part in parts:
            part.path.unlink(missing_ok=True)
        return self.gather(parts, keys)

    monkeypatch.setattr(FeatureSet, "gather", merged)
    export_features(features, table([*range(12)]), tmp_path / "all.npz")
    assert len(read(tmp_path / "all.npz")[0]["features"]) == 13


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_any_features_it_says_how_to_get_them(suffix: str, tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    add(features, range(4))
    with pytest.raises(
        MissingFeatures, match="no picture of the data set photos has features of xception: run extract"
    ):
        export_features(features, Dataset("photos", Origin(Path("/photos"), 0), "", ()), tmp_path / f"all{suffix}")
    assert not (tmp_path / f"all{suffix}").exists()
