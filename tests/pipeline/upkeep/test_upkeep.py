"""The care of a store: what it lists, checks, merges, prunes, removes and exports."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from demijohn.cache import DamagedFile, FeatureStore, NothingLeft, UnknownFeatures
from demijohn.cache.part import open_part
from demijohn.cache.verification import verify_features
from demijohn.pipeline import (
    Extraction,
    InvalidRequest,
    check_verified,
    cli,
    compact_cache,
    export_cache,
    extract_features,
    prune_cache,
    recompute_rows,
    remove_features,
    train_head,
    verify_cache,
)
from demijohn.pipeline.commands.answers import print_verified
from support.pictures import encode, picture


def extract(photos: Path, store: Path, **arguments: Any) -> Extraction:
    return extract_features(photos, **{"backbone": "tiny", "weights": "random", "store": store, **arguments})


def damage(store: Path) -> Path:
    """Flip a bit of some row; return the part."""
    features = FeatureStore(store).find_feature_set()
    path = features.parts()[0].path
    content = bytearray(path.read_bytes())
    content[open_part(path, features.digest).offset + 5] ^= 4
    path.write_bytes(content)
    return path


def test_damage_is_found_taken_out_of_use_and_made_anew(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    whole = FeatureStore(store).find_feature_set()
    keys = sorted(whole.keys())
    rows = whole.read(keys).tobytes()
    (verified,) = verify_cache(store=store)
    assert (verified.verification.rows, verified.verification.damaged) == (36, ())
    prune_cache(store=store)
    path = damage(store)
    verified_damaged = verify_cache(store=store)
    with pytest.raises(DamagedFile, match=f"damaged files: 1, the first: .*{path.name}.*--repair"):
        check_verified(verified_damaged)
    with pytest.raises(DamagedFile, match="verify --repair"):
        train_head("logistic", store=store)
    repaired = verify_cache(store=store, repair=True)
    check_verified(repaired)
    assert (path.parent.parent / "damaged" / path.name).exists()
    again = extract(photos, store)
    assert (again.cached, again.extracted) == (0, 36)
    assert FeatureStore(store).find_feature_set().read(keys).tobytes() == rows
    prune_cache(store=store)
    assert not (path.parent.parent / "damaged").exists()


def test_the_commands_that_mend_damage_work_as_they_are_told(
    swift: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "my store"
    extract(photos, store)
    path = damage(store)
    verified = verify_cache(store=store)
    print_verified(verified)
    with pytest.raises(DamagedFile) as caught:
        check_verified(verified)
    assert capsys.readouterr().out.count("checksum") == 1
    assert "checksum" not in str(caught.value)
    told = str(caught.value).partition("; run ")[2].partition(",")[0]
    assert told == f"demijohn cache verify --repair --store '{store}'"
    repaired = CliRunner().invoke(cli.demijohn, shlex.split(told)[1:], catch_exceptions=False)
    assert not path.exists()
    again = repaired.output.partition("to make the missing rows anew, run ")[2].splitlines()[0]
    CliRunner().invoke(cli.demijohn, shlex.split(again), catch_exceptions=False)
    assert len(FeatureStore(store).find_feature_set().keys()) == 36


@pytest.mark.parametrize("make", ["foreign", "truncated", "newer", "of another set"])
def test_whatever_lies_among_the_parts_is_told_and_mended(make: str, swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    features = FeatureStore(store).find_feature_set()
    path = features.parts_folder / "stray.h5"
    part = features.parts()[0].path
    if make == "foreign":
        path.write_bytes(b"not ours")
    elif make == "truncated":
        path.write_bytes(part.read_bytes()[:-300])
    elif make == "of another set":
        extract(photos, store, weights="random:1")
        other = next(each for each in FeatureStore(store).feature_sets() if each.digest != features.digest)
        path.write_bytes(other.parts()[0].path.read_bytes())
    else:
        path.write_bytes(part.read_bytes())
        with h5py.File(path, "a") as file:
            file.attrs["format"] = 99
    found = verify_features(features.folder)
    assert [each.path for each in found.damaged] == [path]
    assert found.rows == 36
    verify_cache(store=store, features=features.digest, repair=True)
    assert (features.folder / "damaged" / "stray.h5").exists()
    assert extract(photos, store).cached == 36


def test_compaction_merges_and_prune_frees_what_no_data_set_needs(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    for number in range(3):
        (photos / "red" / f"new{number}.png").write_bytes(encode(picture(500 + number)))
        extract(photos, store)
    features = FeatureStore(store).find_feature_set()
    assert len(features.parts()) == 4
    (change,) = compact_cache(store=store)
    assert change.done
    assert len(features.parts()) == 1
    assert len(features.part_paths()) > 1
    for path in (photos / "blue").iterdir():
        path.unlink()
    extract(photos, store)
    (pruned,) = prune_cache(store=store).feature_sets
    assert (pruned.rows, pruned.done) == (12, True)
    assert pruned.bytes > 0
    assert len(features.part_paths()) == 1
    assert len(features.keys()) == 27
    with h5py.File(features.path) as file:
        assert not np.isnan(file["features"][:]).any()
    train_head("logistic", store=store)


def test_pruning_never_empties_a_store_that_knows_no_data_set(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    for path in (store / "datasets").iterdir():
        path.unlink()
    with pytest.raises(NothingLeft, match="knows no data set"):
        prune_cache(store=store)
    assert len(FeatureStore(store).find_feature_set().keys()) == 36


@pytest.mark.slow
def test_pruning_removes_compiled_backbones_that_no_feature_set_is_of(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    gone = extract(photos, store, weights="random:1")
    forms = list((store / "engines").glob("*/manifest.json"))
    assert len(forms) == 2
    for path in forms:
        os.utime(path, (0, 0))
    remove_features(store=store, features=gone.digest)
    assert prune_cache(store=store, backbone="tiny").engines == 0
    pruned = prune_cache(store=store)
    assert (pruned.engines, prune_cache(store=store).engines) == (1, 0)
    assert pruned.to_json()["engines"] == {"removed": 1, "bytes": pruned.engine_bytes}
    assert pruned.engine_bytes > 1000
    [left] = (store / "engines").glob("*/manifest.json")
    assert json.loads(left.read_text())["made_of"]["weights"].startswith("random:0")


def test_removal_wants_a_name(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, second = extract(photos, store), extract(photos, store, weights="random:1")
    with pytest.raises(InvalidRequest, match="--backbone NAME or --features DIGEST"):
        remove_features(store=store)
    with pytest.raises(UnknownFeatures, match=f"expected one of .*tiny-{second.digest[:12]}"):
        remove_features(store=store, backbone="xception")
    (change,) = remove_features(store=store, features=first.digest)
    assert change.rows == 36
    assert [each.digest for each in FeatureStore(store).feature_sets()] == [second.digest]
    assert not list((store / "features").glob("*.partial"))


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_an_export_has_every_picture_with_its_row(suffix: str, swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (photos / "red" / "twin.png").write_bytes((photos / "red" / "000.png").read_bytes())
    (photos / "red" / os.fsdecode(b"caf\xe9.png")).write_bytes(encode(picture(3)))
    extract(photos, store)
    path = tmp_path / f"all{suffix}"
    exported = export_cache(path, store=store)
    assert (exported.rows, exported.width, exported.bytes) == (38, 8, path.stat().st_size)
    columns: dict[str, Any] = {}
    if suffix == ".h5":
        with h5py.File(path) as file:
            columns = {name: file[name][:] if name == "features" else file[name].asstr()[:] for name in file}
            assert file["features"].fletcher32
            assert file.attrs["backbone"] == "tiny"
    else:
        with np.load(path) as file:
            columns = dict(file)
            assert json.loads(str(columns.pop("about")))["backbone"] == "tiny"
    assert set(columns) == {"features", "keys", "paths", "labels", "splits", "groups"}
    features, table = FeatureStore(store).find_feature_set(), FeatureStore(store).find_dataset()
    assert columns["features"].dtype == np.float32
    assert set(columns["paths"]) >= {row.path for row in table.rows if row.path.isascii()}
    keys = [bytes.fromhex(str(key)) for key in columns["keys"]]
    assert columns["features"].tobytes() == features.read(keys).tobytes()
    rows = {row.path: row for row in table.rows}
    for key, name, label, split in zip(keys, columns["paths"], columns["labels"], columns["splits"], strict=True):
        if name in rows:
            assert (rows[name].key, rows[name].label, rows[name].split) == (key, label, split)


def test_an_export_wants_a_name_that_fits(swift: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store")
    with pytest.raises(InvalidRequest, match=r"ends in \.h5 or \.npz"):
        export_cache(tmp_path / "all.csv", store=tmp_path / "store")
    with pytest.raises(InvalidRequest, match="store's own files"):
        export_cache(tmp_path / "store" / "features" / "x.h5", store=tmp_path / "store")


def test_rows_made_again_are_those_stored(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    (found,) = recompute_rows(10, store=store)
    assert (found.rows, found.gone, found.greatest_difference, found.relative_difference) == (10, 0, 0.0, 0.0)
    assert found.lowest_cosine == pytest.approx(1)
    from support.swift import SwiftEngine

    exact = SwiftEngine.extract
    monkeypatch.setattr(SwiftEngine, "extract", lambda self, images: (exact(self, images)[0] * np.float32(1.25),))
    (photos / "red" / "000.png").write_bytes(b"other")
    (shifted,) = recompute_rows(99, store=store)
    assert (shifted.rows, shifted.gone) == (35, 1)
    assert shifted.relative_difference == pytest.approx(0.25, rel=0.05)
    monkeypatch.setattr("demijohn.pipeline.pictures.images.DECODER", "another")
    with pytest.raises(InvalidRequest, match=r"decoder: pillow, .* -> another, "):
        recompute_rows(1, store=store)
