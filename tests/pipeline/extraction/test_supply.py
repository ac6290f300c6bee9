"""The features of any pictures: each file read once, each picture computed once, and nothing lost on the way."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore, Key
from demijohn.cache.index import hash_bytes
from demijohn.pipeline import extract_features
from demijohn.pipeline.datasets import dataset
from demijohn.pipeline.extraction.reopening import Reopener
from demijohn.pipeline.extraction.supply import FeatureSupply
from demijohn.pipeline.pictures import feed, sources
from demijohn.pipeline.pictures.images import ReadingPolicy
from demijohn.pipeline.progress import SILENT
from support.pictures import encode, picture
from support.swift import SwiftEngine


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    extract_features(photos, backbone=swift, weights="random", store=folder)
    return folder


def supply_of(store: Path, **arguments: Any) -> FeatureSupply:
    kept = FeatureStore(store)
    features = kept.find_feature_set()
    return FeatureSupply(kept, [[features]], Reopener(kept, [features], SILENT).open, **arguments)


def fresh(folder: Path, count: int = 8) -> list[str]:
    """Return the paths of new pictures that were written a while ago."""
    folder.mkdir()
    paths = [folder / f"{number:03d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encode(picture(7000 + number)))
        os.utime(path, (time.time() - 60, time.time() - 60))
    return list(map(str, paths))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many pictures each batch had."""
    counts: list[int] = []
    extract = SwiftEngine.extract

    def count(self: SwiftEngine, images: Any) -> Any:
        counts.append(len(images))
        return extract(self, images)

    monkeypatch.setattr(SwiftEngine, "extract", count)
    return counts


def keys_of(paths: Sequence[str]) -> list[Key]:
    return [hash_bytes(Path(path).read_bytes()) for path in paths]


def test_what_is_there_is_not_computed_and_what_is_new_is_once(
    store: Path, tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    [first, *_] = [tmp_path / "photos" / row.path for row in FeatureStore(store).find_dataset().rows]
    paths = [*fresh(tmp_path / "new"), str(first)]
    with supply_of(store) as supply:
        found = supply.fetch(paths)
        assert found.reasons == {}
        assert [found.keys[path] for path in paths] == keys_of(paths)
        # The probe's two pictures, and the new ones.
        assert sum(computed) == 2 + 8
        [rows] = supply.read([found.keys[path] for path in paths])
    assert FeatureStore(store).find_feature_set().read(keys_of(paths)).tobytes() == rows.tobytes()
    assert FeatureStore(store).find_feature_set().path.exists()

    def refuse(*_: Any) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(dataset, "hash_file", refuse)
    monkeypatch.setattr(feed, "read_file", refuse)
    with supply_of(store) as again:
        # Unchanged files are not even read.
        assert again.fetch(paths[:-1]).keys == {path: found.keys[path] for path in paths[:-1]}
    assert sum(computed) == 10


def test_equal_files_are_computed_once_and_each_has_its_place(store: Path, tmp_path: Path, computed: list[int]) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(encode(picture(3)))
    paths = [str(tmp_path / name) for name in ("c.png", "a.png", "b.png", "a.png")]
    with supply_of(store) as supply:
        found = supply.fetch(paths)
    assert sum(computed) == 3
    assert list(found.keys) == paths[:3]


def test_what_cannot_be_read_has_its_reason_and_is_not_tried_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"text")
    (tmp_path / "large.png").write_bytes(encode(picture(1, size=(64, 64))))
    paths = [str(tmp_path / name) for name in ("text.jpg", "large.png", "gone.jpg")]
    with supply_of(store, max_pixels=64 * 63) as supply:
        found = supply.fetch(paths)
    assert found.keys == {}
    assert found.reasons[paths[0]] == "a text file, not a picture"
    assert "more than the 4,032 pixels" in found.reasons[paths[1]]
    assert found.reasons[paths[2]] == "cannot be read: No such file or directory"
    with supply_of(store) as supply:
        assert list(supply.fetch(paths).keys) == [paths[1]]

    def refuse(*_: Any) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(feed, "decode_views", refuse)
    with supply_of(store) as supply:
        assert supply.fetch(paths).reasons[paths[0]] == "a text file, not a picture"


def test_a_file_that_changes_or_goes_after_it_was_hashed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = fresh(tmp_path / "new", 4)
    twin = tmp_path / "twin.png"
    twin.write_bytes(Path(paths[0]).read_bytes())
    read = sources.read_file
    now = encode(picture(999))

    def change(path: Path, policy: Any, **_: Any) -> bytes:
        if str(path) == paths[0] and path.read_bytes() != now:
            path.write_bytes(now)
        if str(path) == paths[1]:
            path.unlink(missing_ok=True)
        if str(path) == paths[2]:
            path.write_bytes(b"not a picture any more")
        return read(path, policy)

    monkeypatch.setattr(feed, "read_file", change)
    with supply_of(store) as supply:
        found = supply.fetch([*paths, str(twin)])
        [rows] = supply.read([found.keys[paths[0]], found.keys[str(twin)]])
    assert found.keys[paths[0]] == hash_bytes(now)
    assert found.keys[str(twin)] == hash_bytes(twin.read_bytes())
    assert not np.array_equal(rows[0], rows[1])
    assert found.reasons == {
        paths[1]: "cannot be read: No such file or directory",
        paths[2]: "a text file, not a picture",
    }


def test_where_the_store_cannot_be_written_rows_last_as_long_as_the_supply(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = fresh(tmp_path / "new")
    with supply_of(store) as supply:
        [expected] = supply.read(list(supply.fetch(paths).keys.values()))
    other = tmp_path / "other"
    extract_features(tmp_path / "photos", backbone="tiny", weights="random", store=other)
    before = {path: path.stat().st_mtime_ns for path in other.rglob("*") if path.suffix == ".h5"}
    monkeypatch.setattr(os, "access", lambda *_: False)
    old = [str(tmp_path / "photos" / row.path) for row in FeatureStore(other).find_dataset().rows][:3]
    with supply_of(other) as supply:
        found = supply.fetch([*old, *paths])
        [rows] = supply.read([found.keys[path] for path in [*old, *paths]])
        assert rows[3:].tobytes() == expected.tobytes()
        assert supply.fetch(paths).keys == {path: found.keys[path] for path in paths}
    assert {path: path.stat().st_mtime_ns for path in other.rglob("*") if path.suffix == ".h5"} == before
    assert len(FeatureStore(other).find_feature_set().keys()) == 36


@pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="an interrupt ends a worker of xdist; run it without")
def test_an_interrupt_keeps_what_was_computed(
    store: Path, tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = fresh(tmp_path / "new", 400)
    extract, once = SwiftEngine.extract, threading.Lock()

    def interrupt(self: SwiftEngine, images: Any) -> Any:
        # By one of the threads: a second signal would reach whoever runs this test.
        if len(computed) == 3 and once.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
        return extract(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(SwiftEngine, "extract", interrupt)
        with pytest.raises(KeyboardInterrupt), supply_of(store) as supply:
            supply.fetch(paths)
    there = len(FeatureStore(store).find_feature_set().keys()) - 36
    assert 24 <= there < 400
    assert there == sum(computed) - 2
    with supply_of(store) as supply:
        assert len(supply.fetch(paths).keys) == 400
    assert sum(computed) == 2 + 400 + 2


def test_so_many_at_once_that_rows_stay_small(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supply = supply_of(store)
    assert supply.rows_at_once == 1024
    monkeypatch.setattr(type(FeatureStore(store).find_feature_set()), "width", 100_000)
    assert supply.rows_at_once == (64 << 20) // 400_000


def test_sets_of_two_reading_policies_each_keep_to_their_own(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path / "store")
    for reading in (ReadingPolicy(), ReadingPolicy("accept")):
        extract_features(photos, backbone=swift, weights="random", store=store.folder, reading=reading)
    sets = store.feature_sets()
    assert len(sets) == 2
    paths = [str(tmp_path / name) for name in ("whole.jpg", "torn.jpg", "gone.jpg")]
    content = encode(picture(8, size=(64, 64)), "JPEG")
    for path, size in zip(paths, (len(content), len(content) - 300, len(content) - 1), strict=True):
        Path(path).write_bytes(content[:size])
    read = sources.read_file

    def lose(path: Path, policy: Any, **_: Any) -> bytes:
        if str(path) == paths[2]:
            path.unlink(missing_ok=True)
        return read(path, policy)

    monkeypatch.setattr(feed, "read_file", lose)
    with FeatureSupply(store, [sets], Reopener(store, sets, SILENT).open) as supply:
        found = supply.fetch(paths)
        [rows] = supply.read([found.keys[paths[0]]])
    assert list(found.keys) == [paths[0]]
    assert "truncated" in found.reasons[paths[1]]
    assert found.reasons[paths[2]] == "cannot be read: No such file or directory"
    assert rows.shape == (1, 16)
    # The one that accepts torn files keeps its row for whoever asks with it alone.
    assert sorted(len(each.keys()) for each in sets) == [37, 38]
