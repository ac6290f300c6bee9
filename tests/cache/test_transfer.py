"""Features between a store and a shared cache: only what is missing travels, and nothing that is damaged."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureSet, NewerFormat, Unreachable
from demijohn.cache import transfer as module
from demijohn.cache.merging import merge_parts, prune_rows
from demijohn.cache.part import open_part
from demijohn.cache.probe import Probe
from demijohn.cache.shared import SharedCache
from demijohn.cache.transfer import list_features, pull_features, push_features
from support.cases import quick
from support.rows import PROBE, WIDTH, add, expected, feature_set, key, recipe, rows, visible
from support.s3 import BUCKET, S3

URL = f"s3://{BUCKET}/cache"


@pytest.fixture(params=["s3", "file"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> SharedCache:
    """Return an empty shared cache: an object store, then a file system, where files are renamed."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return SharedCache(URL)
    return SharedCache(f"file://{tmp_path}/shared")


def parts_of(shared: SharedCache, features: FeatureSet, suffix: str = ".h5") -> list[str]:
    folder = f"features/{features.folder.name}/parts"
    return [f"{folder}/{name}" for name in sorted(shared.list(folder)) if name.endswith(suffix)]


def damage(shared: SharedCache, name: str, tmp_path: Path, at: int) -> bytes:
    """Flip a bit of a shared file; return what it was."""
    content = shared.read(name)
    assert content is not None
    broken = bytearray(content)
    broken[at] ^= 4
    (tmp_path / "broken").write_bytes(broken)
    shared.upload(tmp_path / "broken", name)
    return content


def test_what_was_pushed_is_pulled_and_nothing_travels_twice(shared: SharedCache, tmp_path: Path) -> None:
    mine, theirs = feature_set(tmp_path / "mine"), tmp_path / "theirs" / "features"
    add(mine, range(20))
    sent = push_features(mine, shared)
    assert (sent.parts, sent.rows, sent.there, sent.refused) == (1, 20, 0, ())
    assert list_features(shared) == [mine.folder.name]
    again = push_features(mine, shared)
    assert (again.parts, again.rows, again.bytes, again.there) == (0, 0, 0, 20)
    got = pull_features(theirs / mine.folder.name, shared)
    assert (got.parts, got.rows, got.bytes, got.there) == (1, 20, sent.bytes, 0)
    pulled = FeatureSet.load(theirs / mine.folder.name)
    # The view is refreshed, and any reader sees the rows.
    assert visible(pulled) == expected(set(range(20)))
    assert (pulled.folder / "recipe.json").read_bytes() == (mine.folder / "recipe.json").read_bytes()
    got = pull_features(pulled.folder, shared)
    assert (got.parts, got.bytes, got.there) == (0, 0, 20)


def test_only_new_rows_travel_whatever_either_side_has_merged(shared: SharedCache, tmp_path: Path) -> None:
    mine = feature_set(tmp_path / "mine")
    theirs = feature_set(tmp_path / "theirs")
    add(mine, range(10))
    push_features(mine, shared)
    pull_features(theirs.folder, shared)
    add(theirs, range(10, 15))
    merge_parts(theirs)
    assert push_features(theirs, shared).rows == 5
    add(mine, range(12, 20))
    merge_parts(mine)
    # Twelve to fourteen are there by now.
    assert push_features(mine, shared).rows == 5
    assert pull_features(mine.folder, shared).rows == 2
    assert pull_features(theirs.folder, shared).rows == 5
    assert mine.keys() == theirs.keys() == {key(number) for number in range(20)}
    assert (mine.read(rows(range(20))[0]) == rows(range(20))[1]).all()
    # After every merge and prune of old parts still nothing is missing.
    for features in (mine, theirs):
        merge_parts(features)
        prune_rows(features, features.keys())
        assert pull_features(features.folder, shared).parts == push_features(features, shared).parts == 0


def test_rows_that_were_pruned_come_back_under_another_name(shared: SharedCache, tmp_path: Path) -> None:
    mine, theirs = feature_set(tmp_path / "mine"), feature_set(tmp_path / "theirs")
    add(mine, range(10))
    push_features(mine, shared)
    pull_features(theirs.folder, shared)
    prune_rows(theirs, [key(1), key(2)])
    assert len(theirs.keys()) == 2
    assert pull_features(theirs.folder, shared).rows == 8
    assert theirs.keys() == mine.keys()
    assert pull_features(theirs.folder, shared).parts == 0


@pytest.mark.parametrize("where", ["rows", "keys", "structure", "another part"])
def test_a_damaged_part_is_refused_by_name_and_not_installed(shared: SharedCache, tmp_path: Path, where: str) -> None:
    mine, theirs = feature_set(tmp_path / "mine"), tmp_path / "theirs" / "features" / recipe().folder
    add(mine, range(10))
    push_features(mine, shared)
    (name,) = parts_of(shared, mine)
    local = open_part(mine.parts()[0].path, mine.digest)
    if where == "another part":
        (tmp_path / "other").mkdir()
        other = FeatureSet(tmp_path / "other", recipe())
        add(other, range(50, 60))
        shared.upload(other.parts()[0].path, name)
    else:
        content = local.path.read_bytes()
        place = {"rows": local.offset + 3, "keys": content.index(local.keys.tobytes()[:32]), "structure": 9}[where]
        damage(shared, name, tmp_path, place)
    got = pull_features(theirs, shared)
    assert (got.parts, got.rows, got.bytes) == (0, 0, 0)
    (refused,) = got.refused
    assert refused.path == shared.where(name)
    assert refused.reason.startswith(shared.where(name))
    assert "it was not installed: remove it there, and push its rows again" in refused.reason
    assert not list(theirs.glob("parts/*"))
    assert not (theirs / "features.h5").exists()


def test_rows_of_a_damaged_part_come_from_another_that_has_them(shared: SharedCache, tmp_path: Path) -> None:
    small, large = feature_set(tmp_path / "small"), feature_set(tmp_path / "large")
    add(small, range(4))
    push_features(small, shared)
    aside = {name: shared.read(name) for suffix in (".h5", ".keys") for name in parts_of(shared, small, suffix)}
    for name in aside:
        shared._files.rm(f"{shared._root}/{name}")
    add(large, range(9))
    push_features(large, shared)
    (name,) = parts_of(shared, large)
    for each, content in aside.items():
        (tmp_path / "x").write_bytes(content or b"")
        shared.upload(tmp_path / "x", each)
    damage(shared, name, tmp_path, open_part(large.parts()[0].path, large.digest).offset)
    got = pull_features(tmp_path / "theirs" / "features" / recipe().folder, shared)
    assert (got.rows, [each.path for each in got.refused]) == (4, [shared.where(name)])


@pytest.mark.parametrize("content", quick(2, [None, b"no keys", b"", bytes(64)]))
def test_a_part_whose_keys_are_not_told_is_fetched_all_the_same(
    shared: SharedCache, tmp_path: Path, content: bytes | None
) -> None:
    mine = feature_set(tmp_path / "mine")
    add(mine, range(10))
    push_features(mine, shared)
    (told,) = parts_of(shared, mine, ".keys")
    if content is None:
        shared._files.rm(f"{shared._root}/{told}")
    else:
        (tmp_path / "x").write_bytes(content)
        shared.upload(tmp_path / "x", told)
    assert pull_features(tmp_path / "theirs" / "features" / recipe().folder, shared).rows == 10
    # And pushed once more, under the same name, which mends it.
    assert push_features(mine, shared).parts == 1
    assert len(parts_of(shared, mine)) == 1
    assert push_features(mine, shared).parts == 0


def test_a_damaged_part_of_the_store_is_not_sent(shared: SharedCache, tmp_path: Path) -> None:
    mine = feature_set(tmp_path / "mine")
    add(mine, range(10))
    part = mine.parts()[0]
    content = bytearray(part.path.read_bytes())
    content[part.offset] ^= 1
    part.path.write_bytes(content)
    sent = push_features(mine, shared)
    assert sent.parts == 0
    assert str(part.path) in sent.refused[0].reason
    assert parts_of(shared, mine) == []


def test_a_transfer_that_ends_early_leaves_no_part(
    shared: SharedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = feature_set(tmp_path / "mine"), tmp_path / "theirs" / "features" / recipe().folder
    add(mine, range(10))
    put, get = shared._files.put_file, shared._files.get_file

    def half(path: str, target: str, **_: object) -> None:
        if target.endswith(".keys") or ".keys." in target or "recipe" in target:
            return put(path, target)
        # As where a connection ends, or a disk is full: half of it may be there, under whatever name it was sent to.
        content = Path(path).read_bytes()
        if "file" in shared._files.protocol:
            Path(target).write_bytes(content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shared._files, "put_file", half)
        with pytest.raises(KeyboardInterrupt):
            push_features(mine, shared)
    assert parts_of(shared, mine) == []
    assert push_features(mine, shared).rows == 10

    def cut(source: str, target: str, **_: object) -> None:
        get(source, target)
        os.truncate(target, 100)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shared._files, "get_file", cut)
        with pytest.raises(KeyboardInterrupt):
            pull_features(theirs, shared)
    assert not list(theirs.glob("parts/*.h5"))
    assert pull_features(theirs, shared).rows == 10


def test_two_may_push_at_once(shared: SharedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = feature_set(tmp_path / "one"), feature_set(tmp_path / "other")
    add(one, range(12))
    add(other, range(6, 18))
    asked = module._remote_keys
    pushed = []

    def meanwhile(*arguments: object) -> object:
        found = asked(*arguments)  # type: ignore[arg-type]
        if not pushed:
            pushed.append(True)
            push_features(other, shared)
        return found

    monkeypatch.setattr(module, "_remote_keys", meanwhile)
    push_features(one, shared)
    got = pull_features(tmp_path / "third" / "features" / recipe().folder, shared)
    assert (got.rows, got.refused) == (18, ())
    assert visible(FeatureSet.load(tmp_path / "third" / "features" / recipe().folder)) == expected(set(range(18)))


def test_sets_of_other_numbers_are_not_mixed(shared: SharedCache, tmp_path: Path) -> None:
    mine = feature_set(tmp_path / "mine")
    add(mine, range(3))
    push_features(mine, shared)
    other = FeatureSet(tmp_path / "other" / "features" / recipe().folder, recipe())
    other.begin({}, Probe({"picture": PROBE.vectors["picture"] * np.float32(1.01)}))
    add(other, range(5))
    for move in (lambda: push_features(other, shared), lambda: pull_features(other.folder, shared)):
        with pytest.raises(DamagedFile, match=r"gives other numbers than .* share them at another URL"):
            move()
    assert len(other.keys()) == 5


def test_a_recipe_of_a_later_demijohn_or_none_is_told(shared: SharedCache, tmp_path: Path) -> None:
    mine = feature_set(tmp_path / "mine")
    add(mine, range(3))
    push_features(mine, shared)
    name = f"features/{mine.folder.name}/recipe.json"
    content = shared.read(name)
    assert content is not None
    (tmp_path / "x").write_bytes(content.replace(b'"format": 3', b'"format": 99'))
    shared.upload(tmp_path / "x", name)
    theirs = tmp_path / "theirs" / "features" / mine.folder.name
    with pytest.raises(NewerFormat, match="format 99"):
        pull_features(theirs, shared)
    shared._files.rm(f"{shared._root}/{name}")
    with pytest.raises(DamagedFile, match="is not there: expected it beside the parts"):
        pull_features(theirs, shared)


def test_large_sets_travel_as_several_parts(
    shared: SharedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 4 * WIDTH * 7)
    mine = feature_set(tmp_path / "mine")
    add(mine, range(30))
    assert push_features(mine, shared).parts == 5
    theirs = tmp_path / "theirs" / "features" / mine.folder.name
    assert pull_features(theirs, shared).parts == 5
    assert FeatureSet.load(theirs).keys() == mine.keys()


def test_a_part_that_shrinks_on_the_way_is_told(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, shared = feature_set(tmp_path / "mine"), SharedCache(URL)
    add(mine, range(3))
    put = shared._files.put_file

    def less(path: str, target: str, **_: object) -> None:
        shutil.copy(path, tmp_path / "less")
        os.truncate(tmp_path / "less", 10)
        put(str(tmp_path / "less"), target)

    monkeypatch.setattr(shared._files, "put_file", less)
    with pytest.raises(Unreachable, match="has 10 bytes there, expected"):
        push_features(mine, shared)
