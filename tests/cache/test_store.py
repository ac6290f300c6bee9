"""The store finds what fits, lists what there is, and creates nothing by being asked."""

from pathlib import Path

import pytest
from demijohn.cache import DamagedFile, Dataset, FeatureStore, Origin, Row, UnknownDataset, UnknownFeatures
from support.rows import recipe, rows


def fill(folder: Path, *backbones: str) -> FeatureStore:
    store = FeatureStore(folder)
    for backbone in backbones:
        features = store.feature_set(recipe(backbone))
        features.begin({})
        features.commit(*rows([1]))
    return store


def test_asking_creates_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    assert (store.feature_sets(), store.dataset_names(), store.runs(), store.refusals()) == ([], [], [], [])
    assert store.find_run("x") is None
    assert store.dataset_origin("x") is None
    with pytest.raises(UnknownFeatures, match="run extract-features IMAGES first"):
        store.find_feature_set()
    with pytest.raises(UnknownDataset, match="run extract-features IMAGES first"):
        store.find_dataset()
    assert not (tmp_path / "store").exists()


def test_feature_sets_are_found_by_what_is_unique(tmp_path: Path) -> None:
    store = fill(tmp_path, "resnet50", "xception")
    digest = recipe("xception").digest
    assert store.find_feature_set("xception").digest == digest
    assert store.find_feature_set(digest=digest[:8]).recipe == recipe("xception")
    with pytest.raises(UnknownFeatures, match=r"2 feature sets that fit: resnet50 .* xception .*--backbone NAME"):
        store.find_feature_set()
    with pytest.raises(UnknownFeatures, match="no features of vgg16: expected one of resnet50"):
        store.find_feature_set("vgg16")


def test_a_feature_set_without_rows_is_none(tmp_path: Path) -> None:
    store = fill(tmp_path, "xception")
    store.feature_set(recipe("resnet50")).begin({})
    assert [features.recipe.backbone for features in store.feature_sets()] == ["xception"]


def test_a_damaged_recipe_is_told(tmp_path: Path) -> None:
    store = fill(tmp_path, "xception")
    (store.feature_set(recipe("xception")).folder / "recipe.json").write_text("{}")
    with pytest.raises(DamagedFile, match="expected recipe and provenance"):
        store.feature_sets()


def test_data_sets_are_found_by_name_or_when_alone(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    row = Row("a/1.jpg", b"k" * 32, "a", "train")
    datasets = [Dataset(name, Origin(Path("/p"), 0), "class folders", (row,)) for name in ("one", "two")]
    store.save_dataset(datasets[0])
    assert store.find_dataset() == datasets[0]
    store.save_dataset(datasets[1])
    assert store.find_dataset("two") == datasets[1]
    with pytest.raises(UnknownDataset, match="2 data sets: one, two; choose one with --dataset"):
        store.find_dataset()
    with pytest.raises(UnknownDataset, match="no data set three: expected one of one, two"):
        store.find_dataset("three")
