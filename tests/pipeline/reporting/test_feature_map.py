"""The map: in its square, the same again, made once."""

import os
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import FeatureStore, MissingFeatures
from demijohn.models import projection
from demijohn.pipeline import extract_features
from demijohn.pipeline.reporting.feature_map import KEPT, SIDE, map_features


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> FeatureStore:
    """Return a store with features of 36 pictures."""
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    return FeatureStore(tmp_path / "store")


def test_points_lie_in_the_square_in_the_order_asked(store: FeatureStore, tmp_path: Path) -> None:
    features = store.find_feature_set()
    keys = sorted(features.keys())
    made = map_features(store, features.digest, keys, folder=tmp_path / "maps")
    for points in (made.linear, made.neighbours):
        assert points is not None
        assert len(points) == len(keys)
        assert np.min(points) == 0 or np.max(points) == SIDE
        assert 0 <= np.min(points) <= np.max(points) <= SIDE
    turned = map_features(store, features.digest, keys[::-1], folder=tmp_path / "maps")
    np.testing.assert_allclose(turned.linear[::-1], made.linear, atol=0.2)
    assert 0 < made.share <= 1


def test_it_is_made_once_and_again_where_it_is_damaged(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, made = store.find_feature_set(), 0
    keys = sorted(features.keys())
    layout = projection.project_linear

    def counting(X: np.ndarray) -> object:
        nonlocal made
        made += 1
        return layout(X)

    monkeypatch.setattr(projection, "project_linear", counting)
    first = map_features(store, features.digest, keys, folder=tmp_path)
    assert map_features(store, features.digest, keys, folder=tmp_path) == first
    assert made == 1
    (kept,) = tmp_path.glob("*.json")
    for damage in ("", "{}", '{"linear": [[1]], "share": 0, "neighbours": null}'):
        kept.write_text(damage)
        assert map_features(store, features.digest, keys, folder=tmp_path) == first


def test_only_the_latest_maps_are_kept(store: FeatureStore, tmp_path: Path) -> None:
    features = store.find_feature_set()
    keys = sorted(features.keys())
    for number in range(KEPT + 2):
        (tmp_path / f"{number}.json").write_text("{}")
        os.utime(tmp_path / f"{number}.json", (number, number))
    map_features(store, features.digest, keys, folder=tmp_path)
    left = {path.name for path in tmp_path.glob("*.json")}
    assert len(left) == KEPT
    assert "2.json" not in left
    assert "3.json" in left


def test_few_pictures_have_no_neighbourhoods(store: FeatureStore, tmp_path: Path) -> None:
    features = store.find_feature_set()
    assert map_features(store, features.digest, sorted(features.keys())[:4], folder=tmp_path).neighbours is None


def test_features_that_are_gone_are_told(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(MissingFeatures, match="has no features abc any more"):
        map_features(store, "abc", [b"k" * 32] * 3, folder=tmp_path)
