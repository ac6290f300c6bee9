"""The store finds what fits, lists what there is, and creates nothing by being asked."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import (
    DamagedFile,
    Dataset,
    FeatureSet,
    FeatureStore,
    Origin,
    Refusal,
    Row,
    UnknownDataset,
    UnknownFeatures,
)
from demijohn.cache.index import hash_file
from demijohn.cache.runs import new_run
from support.rows import PROBE, RUN, recipe, rows


def fill(folder: Path, *backbones: str) -> FeatureStore:
    store = FeatureStore(folder)
    for backbone in backbones:
        features = store.feature_set(recipe(backbone))
        features.begin({}, PROBE)
        features.commit(*rows([1]))
    return store


def test_asking_creates_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    assert (store.feature_sets(), store.dataset_names(), store.runs(), store.refusals()) == ([], [], [], [])
    assert store.find_run("x") is None
    assert store.dataset_origin("x") is None
    first = f"run extract-features IMAGES --store {tmp_path / 'store'} first$"
    with pytest.raises(UnknownFeatures, match=first):
        store.find_feature_set()
    with pytest.raises(UnknownDataset, match=first):
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
    store.feature_set(recipe("resnet50")).begin({}, PROBE)
    assert [features.recipe.backbone for features in store.feature_sets()] == ["xception"]


def test_what_is_no_feature_set_hides_none(tmp_path: Path) -> None:
    store = fill(tmp_path, "resnet50", "xception")
    (tmp_path / "features" / "a-file").touch()
    (tmp_path / "features" / "a-folder.partial").mkdir()
    assert [features.recipe.backbone for features in store.feature_sets()] == ["resnet50", "xception"]


def test_a_damaged_recipe_is_told(tmp_path: Path) -> None:
    store = fill(tmp_path, "xception")
    (store.feature_set(recipe("xception")).folder / "recipe.json").write_text("{}")
    with pytest.raises(UnknownFeatures, match="expected recipe, provenance and probe"):
        store.find_feature_set()
    fill(tmp_path, "resnet50")
    assert [features.recipe.backbone for features in store.feature_sets()] == ["resnet50"]
    ((_, first), (damaged, error)) = store.survey()
    assert (damaged.name, type(first), type(error)) == (recipe().folder, FeatureSet, DamagedFile)


def test_rows_without_a_recipe_are_told_and_an_empty_folder_is_not(tmp_path: Path) -> None:
    store = fill(tmp_path, "xception")
    folder = store.feature_set(recipe("xception")).folder
    (folder / "recipe.json").unlink()
    ((told, error),) = store.survey()
    assert (told, type(error)) == (folder, DamagedFile)
    (folder / "parts").rename(folder / "damaged")
    ((told, error),) = store.survey()
    assert "has no recipe.json: run extract-features again, or demijohn cache remove --features" in str(error)
    shutil.rmtree(folder / "damaged")
    assert store.survey() == [], "another process may be about to begin it"


def test_a_set_of_an_earlier_format_is_told_apart_from_damage(tmp_path: Path) -> None:
    store = fill(tmp_path, "xception")
    path = store.feature_set(recipe("xception")).folder / "recipe.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(UnknownFeatures, match="has format 2, this demijohn reads 3: run extract-features again"):
        store.find_feature_set()


def test_the_newest_generation_is_taken_unless_an_older_one_is_named(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    recipes = [replace(recipe(), generation=number) for number in (0, 2, 1)]
    for each in recipes:
        store.feature_set(each).begin({}, PROBE)
        store.feature_set(each).commit(*rows([1]))
    assert store.find_feature_set("xception").recipe.generation == 2
    assert store.find_feature_set(digest=recipes[0].digest[:12]).recipe.generation == 0
    assert [each.recipe.generation for each in store.generations(recipe())] == [2, 1, 0]


def test_data_sets_are_found_by_name_or_when_alone(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    row = Row("a/1.jpg", b"k" * 32, "a", "train")
    datasets = [Dataset(name, Origin(Path("/p"), 0), "class folders", (row,)) for name in ("one", "two")]
    store.save_dataset(datasets[0])
    assert store.find_dataset() == datasets[0]
    store.save_dataset(datasets[1])
    assert store.find_dataset("two") == datasets[1]
    assert store.dataset_origin("two") == datasets[1].origin
    with pytest.raises(
        UnknownDataset, match=r"2 data sets: one, two; choose one with --dataset NAME, in Python with dataset=NAME$"
    ):
        store.find_dataset()
    with pytest.raises(UnknownDataset, match="no data set three: expected one of one, two"):
        store.find_dataset("three")


def test_asking_in_a_folder_that_is_there_creates_nothing_either(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    assert store.index.recall([tmp_path / "a.jpg"]) == {}
    assert store.index.recall_weights(b"f" * 32, "xception") is None
    assert store.feature_set(recipe()).keys() == set()
    assert (store.feature_sets(), store.dataset_names(), store.runs(), store.refusals()) == ([], [], [], [])
    store.add_refusals([])
    assert not list(tmp_path.iterdir())


def test_two_sets_of_one_backbone_are_told_apart_by_digest(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    recipes = [recipe(), replace(recipe(), weights="other"), recipe("resnet50")]
    for each in recipes:
        store.feature_set(each).begin({}, PROBE)
        store.feature_set(each).commit(*rows([1]))
    with pytest.raises(
        UnknownFeatures, match=r"2 feature sets that fit: .*; choose one with --features DIGEST"
    ) as caught:
        store.find_feature_set("xception")
    for each in recipes[:2]:
        assert each.digest[:12] in str(caught.value)
        assert store.find_feature_set("xception", each.digest[:12]).recipe == each
        assert store.find_feature_set(digest=each.digest).recipe == each
    assert "resnet50" not in str(caught.value)
    with pytest.raises(
        UnknownFeatures, match=r"no features of xception zzz: expected one of resnet50 \(.*\), xception"
    ):
        store.find_feature_set("xception", "zzz")
    with pytest.raises(UnknownFeatures, match="run extract-features --backbone resnet50"):
        store.find_feature_set("resnet50", "zzz")


def test_a_set_is_found_again_under_its_recipe(tmp_path: Path) -> None:
    store = fill(tmp_path, "xception")
    folder = store.feature_set(recipe()).folder
    assert folder == tmp_path / "features" / recipe().folder
    assert [(each.folder, each.recipe) for each in FeatureStore(tmp_path).feature_sets()] == [(folder, recipe())]


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    store = fill(tmp_path / "before", "xception")
    store.add_refusals([Refusal(b"r" * 32, "broken", "p", "d")])
    store.save_dataset(Dataset("one", Origin(Path("/p"), 0), "flat", ()))
    (tmp_path / "before").rename(tmp_path / "after")
    moved = FeatureStore(str(tmp_path / "after"))
    assert moved.find_feature_set().read(rows([1])[0]).tobytes() == rows([1])[1].tobytes()
    assert moved.refusals() == [Refusal(b"r" * 32, "broken", "p", "d")]
    assert moved.find_dataset().name == "one"


def test_a_store_in_a_folder_of_any_name(tmp_path: Path) -> None:
    name = os.fsdecode("été [*?] #1 %20 ".encode() + b"\xff")
    store = fill(tmp_path / name, "xception")
    store.save_dataset(Dataset("one", Origin(tmp_path / name, 0), "flat", ()))
    picture = tmp_path / "picture"
    picture.write_bytes(b"x")
    os.utime(picture, (1, 1))
    store.index.remember([hash_file(picture)])
    again = FeatureStore(tmp_path / name)
    assert again.find_feature_set().keys() == {rows([1])[0][0]}
    assert again.find_dataset().origin.root == tmp_path / name
    assert list(again.index.recall([picture])) == [picture]


def test_runs_are_found_by_id(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for run in ("b", "a"):
        with new_run(store.run_folder(run)) as folder:
            (folder / "run.json").write_text(json.dumps(RUN))
    assert [run.id for run in store.runs()] == ["a", "b"]
    assert (store.find_run("a"), store.find_run("c")) == (store.runs()[0], None)


def test_names_with_dots_are_names(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for name in ("v1", "v1.2", ".hidden", "a b"):
        store.save_dataset(Dataset(name, Origin(Path("/p"), 0), "flat", ()))
    assert set(store.dataset_names()) == {"v1", "v1.2", ".hidden", "a b"}
    for name in store.dataset_names():
        assert store.find_dataset(name).name == name
