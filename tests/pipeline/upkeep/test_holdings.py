"""What a store holds is told by families: a feature set and its views are one."""

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import DamagedFile, FeatureStore, UnknownFeatures
from demijohn.pipeline import (
    Extraction,
    check_verified,
    compact_cache,
    extract_features,
    list_features,
    prune_cache,
    push_cache,
    recompute_rows,
    remove_features,
    train_head,
    verify_cache,
)
from demijohn.pipeline.commands.answers import print_holdings
from demijohn.pipeline.upkeep.holdings import choose_families


def extract(photos: Path, store: Path, **arguments: Any) -> Extraction:
    return extract_features(photos, **{"backbone": "tiny", "weights": "random", "store": store, **arguments})


def test_the_list_says_what_there_is_and_in_what_it_differs(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    assert list_features(store=store) == []
    extract(photos, store)
    extract(photos, store, weights="random:1")
    old = time.time() - 1000
    os.utime(
        FeatureStore(store).generations(FeatureStore(store).feature_sets()[0].recipe)[0].folder / "last-use", (old, old)
    )
    first, second = list_features(store=store)
    assert (first.rows, first.width, first.parts, first.problem) == (36, 8, 1, None)
    assert first.bytes > 36 * 64
    assert first.differences == ()
    assert [each.partition(":")[0] for each in second.differences] == ["weights"]
    assert (first.last_use or "") > (second.last_use or "")
    train_head("logistic", features=second.digest, store=store)
    assert list_features(store=store)[0].digest == second.digest


def test_a_set_that_cannot_be_read_is_listed_and_hides_no_other(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    bad = store / "features" / "xception-0123456789ab"
    bad.mkdir()
    (bad / "recipe.json").write_text("{")
    good, listed = list_features(store=store)
    assert (good.backbone, good.rows) == ("tiny", 36)
    assert (listed.backbone, listed.digest) == ("xception", "0123456789ab")
    assert "is damaged" in (listed.problem or "")
    train_head("logistic", store=store)
    with pytest.raises(DamagedFile, match="--repair"):
        check_verified(verify_cache(store=store))
    verify_cache(store=store, repair=True)
    assert (bad / "damaged" / "recipe.json").exists()
    remove_features(store=store, backbone="xception")
    assert [each.backbone for each in list_features(store=store)] == ["tiny"]


def test_a_family_is_one_with_its_views(
    swift: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    done = extract(photos, store, views=3)
    extract(photos, store, views=2, augment="flip")
    extract(photos, store, weights="random:1")
    other, held = list_features(store=store)
    assert (held.digest, held.rows, held.views) == (done.digest, 36, {"standard": 2, "flip": 1})
    trained = sum(row.split == "train" for row in FeatureStore(store).find_dataset().rows)
    assert (held.view_rows, held.parts, held.width) == (3 * trained, 4, 8)
    assert (other.rows, other.views, other.view_rows) == (36, {}, 0)
    assert held.to_json()["views"] == {"standard": 2, "flip": 1}
    print_holdings([other, held], str(store))
    assert "+1 flip, +2 standard" in capsys.readouterr().out
    kept = FeatureStore(store)
    first = kept.find_feature_set(digest=done.digest)
    folders = {each.folder for each in [first, *kept.views_of(first)]}
    for named in (first, kept.views_of(first)[1]):
        assert {name: set(found) for name, found in choose_families(kept, None, named.digest).items()} == {
            first.recipe.folder: folders
        }
    (change,) = remove_features(store=store, features=done.digest)
    assert (change.name, change.rows) == (first.recipe.folder, 36 + 3 * trained)
    assert not any(folder.exists() for folder in folders)
    assert [each.digest for each in list_features(store=store)] == [other.digest]


def test_a_store_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for care in (list_features, verify_cache, compact_cache, prune_cache):
        with pytest.raises(UnknownFeatures, match=f"there is no store {tmp_path / 'none'}: .* --store DIR"):
            care(store=tmp_path / "none")
    for move in (partial(remove_features, backbone="tiny"), partial(recompute_rows, 1)):
        with pytest.raises(UnknownFeatures, match="there is no store"):
            move(store=tmp_path / "none")
    with pytest.raises(UnknownFeatures, match="there is no store"):
        push_cache(f"file://{tmp_path}/shared", store=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_views_whose_pictures_are_gone_are_still_a_family(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = extract(photos, store, views=2)
    first = FeatureStore(store).find_feature_set()
    (first.folder / "recipe.json").write_text("{")
    (held,) = list_features(store=store)
    assert (held.digest, held.rows, held.views) == (done.digest, 0, {"standard": 1})
    assert f"{first.folder / 'recipe.json'} is damaged" in (held.problem or "")
    first.folder.rename(tmp_path / "elsewhere")
    (held,) = list_features(store=store)
    assert (held.digest, held.rows, held.views) == (done.digest, 0, {"standard": 1})
    with pytest.raises(UnknownFeatures, match=f"expected one of {first.recipe.folder}$"):
        remove_features(store=store, backbone="xception")
    remove_features(store=store, features=done.digest)
    assert list_features(store=store) == []
