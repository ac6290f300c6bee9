"""Views: a family of feature sets, trained on together, and never mixed up."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore, MissingFeatures, UnknownFeatures
from demijohn.cache.index import hash_bytes
from demijohn.cache.part import keys_from_array
from demijohn.models import UnknownLayer, load_head
from demijohn.pipeline import (
    InvalidRequest,
    OtherNumbers,
    extract_feature_sets,
    extract_features,
    recompute_rows,
    report_heads,
    run,
    train_head,
)
from demijohn.pipeline.pictures.augmentation import View, augment_recipe
from demijohn.pipeline.pictures.images import decode_views
from demijohn.pipeline.runs.inputs import choose_inputs
from support.extractions import extract
from support.pictures import encode, picture
from support.reports import report_in
from support.standin import WIDTH
from support.swift import SwiftEngine


def train_keys(store: Path) -> list[bytes]:
    return [row.key for row in FeatureStore(store).find_dataset().rows if row.split == "train"]


def test_further_views_are_of_the_training_pictures(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = extract(photos, store, views=3)
    trained = train_keys(store)
    assert (done.rows, done.extracted, done.views) == (36, 36, 3)
    assert done.view_rows == done.view_rows_extracted == 2 * len(trained) < 2 * 36
    kept = FeatureStore(store)
    first = kept.find_feature_set()
    assert first.recipe.view == 0
    assert first.recipe.augment == "none"
    assert len(first.keys()) == 36
    views = kept.views_of(first)
    assert [each.recipe.view for each in views] == [1, 2]
    assert all(each.keys() == set(trained) for each in views)
    with pytest.raises(UnknownFeatures, match=f"is view 2 of {first.recipe.folder}: .* --features {first.digest[:12]}"):
        train_head(store=store, features=views[1].digest[:12])
    again = extract(photos, store, views=3)
    assert (again.cached, again.extracted, again.view_rows_extracted) == (36, 0, 0)


def test_more_views_cost_only_themselves_and_keep_the_others(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    more = extract(photos, store, views=2)
    assert (more.extracted, more.view_rows_extracted) == (0, len(train_keys(store)))
    before = FeatureStore(store).views_of(FeatureStore(store).find_feature_set())[0].read(train_keys(store))
    extract(photos, store, views=4, views_for="all")
    views = FeatureStore(store).views_of(FeatureStore(store).find_feature_set())
    assert [len(each.keys()) for each in views] == [36, 36, 36]
    assert views[0].read(train_keys(store)).tobytes() == before.tobytes()


def test_each_row_is_of_its_own_picture_and_view(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store, views=3, views_for="all", augment="flip,crop")
    kept = FeatureStore(store)
    engine = SwiftEngine(1)
    recipe = augment_recipe("flip,crop")
    for features in [kept.find_feature_set(), *kept.views_of(kept.find_feature_set())]:
        view = View(features.recipe.view, features.recipe.augment)
        assert view.augment == (recipe if view.number else "none")
        for path in list(photos.glob("*/*.png"))[::7]:
            content = path.read_bytes()
            key = hash_bytes(content)
            (pixels,) = decode_views(content, (16, 16), features.recipe.resize, key=key, views=[view])
            assert features.read([key]).tobytes() == engine.extract(pixels[None])[0].tobytes()


def test_a_run_that_is_interrupted_goes_on_to_the_same_bytes(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(photos, tmp_path / "whole", views=4)
    calls, exact = 0, SwiftEngine.extract

    def falter(self: SwiftEngine, images: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return exact(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(SwiftEngine, "extract", falter)
        with pytest.raises(KeyboardInterrupt):
            extract(photos, tmp_path / "broken", views=4)
    before = sum(len(each.keys()) for each in FeatureStore(tmp_path / "broken").feature_sets())
    rest = extract(photos, tmp_path / "broken", views=4)
    assert before > 0
    assert before + rest.extracted + rest.view_rows_extracted == 36 + 3 * len(train_keys(tmp_path / "broken"))
    for one, other in zip(*(FeatureStore(tmp_path / name).feature_sets() for name in ("whole", "broken")), strict=True):
        keys = sorted(one.keys())
        assert one.read(keys).tobytes() == other.read(keys).tobytes()


def test_a_head_learns_from_all_views_and_is_judged_on_view_0(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demijohn.models.heads import linear

    store, seen = tmp_path / "store", {}
    extract(photos, store, views=3)
    fit = linear.LogisticHead.fit

    def watch(self: Any, X: Any, y: Any, **options: Any) -> Any:
        if "validation" in options:
            seen.update(X=X, y=y, validation=options["validation"])
        return fit(self, X, y, **options)

    monkeypatch.setattr(linear.LogisticHead, "fit", watch)
    record = train_head("logistic", store=store).record
    count = record["metrics"]["train"]["images"]
    assert (record["views"], record["augment"]) == (3, augment_recipe("standard"))
    assert seen["X"].shape == (3 * count, WIDTH)
    kept = FeatureStore(store)
    keys = [row.key for row in sorted(kept.find_dataset().rows, key=lambda row: row.key) if row.split == "train"]
    # The pictures themselves stand last, before those of validation.
    for number, features in enumerate([*kept.views_of(kept.find_feature_set()), kept.find_feature_set()]):
        part = slice(number * count, (number + 1) * count)
        assert seen["X"][part].tobytes() == features.read(keys).tobytes()
        np.testing.assert_array_equal(seen["y"][part], seen["y"][:count])
    held_out = [
        row.key for row in sorted(kept.find_dataset().rows, key=lambda row: row.key) if row.split == "validation"
    ]
    assert seen["validation"][0].tobytes() == kept.find_feature_set().read(held_out).tobytes()
    plain = train_head("logistic", store=store, views=1).record
    assert plain["views"] == 1
    assert seen["X"].shape == (count, WIDTH)
    assert plain["run"] != record["run"]


def test_tta_is_the_mean_of_the_scores_of_all_views(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store, views=3)
    with pytest.raises(MissingFeatures, match=r"--views 3 .*--views-for all"):
        train_head("logistic", store=store, tta=True)
    extract(photos, store, views=3, views_for="all")
    trained = train_head("logistic", store=store, settings={"c": 1.0}, tta=True)
    predictions = trained.predictions
    keys = keys_from_array(predictions.keys)
    inputs = choose_inputs(FeatureStore(store))
    test = predictions.splits == 2
    for file, part in (("head_file", test), ("selection_file", ~test)):
        head = load_head(trained.folder / trained.record[file])
        expected = np.mean([head(inputs.read(keys, view)) for view in range(3)], axis=0)[part]
        np.testing.assert_allclose(predictions.scores[part], expected, atol=1e-6)
        assert not np.allclose(predictions.scores[part], head(inputs.read(keys))[part], atol=1e-6)
    assert trained.record["tta"] is True


def test_tta_without_views_and_more_views_than_there_are_are_told(swift: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", views=2)
    with pytest.raises(
        InvalidRequest, match=r"3 views are asked for, .* holds 2: run extract-features --backbone tiny .*--views 3"
    ):
        train_head(store=tmp_path / "store", views=3)
    with pytest.raises(InvalidRequest, match="--views-for all"):
        train_head(store=tmp_path / "store", views=1, tta=True)
    with pytest.raises(InvalidRequest, match="cannot make 0 views"):
        extract(photos, tmp_path / "store", views=0)
    with pytest.raises(InvalidRequest, match="for train or all, found 'test'"):
        extract(photos, tmp_path / "store", views_for="test")


def test_a_training_picture_without_views_is_told_with_both_ways_out(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store, views=2)
    for number in range(20):
        (photos / "red" / f"new{number}.png").write_bytes(encode(picture(500 + number)))
    extract(photos, store)
    with pytest.raises(MissingFeatures, match=r"run extract-features .*--views 2 .* or .* --views 1"):
        train_head(store=store)
    assert train_head(store=store, views=1).record["views"] == 1


def test_two_kinds_of_views_are_two_families_with_one_view_0(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store, views=2, augment="flip")
    other = extract(photos, store, views=2, augment="colour")
    assert (other.cached, other.extracted) == (36, 0)
    with pytest.raises(UnknownFeatures, match="several augmentations: colour and flip; choose one with --augment"):
        train_head(store=store)
    assert train_head(store=store, augment="flip").record["augment"] == augment_recipe("flip")
    assert train_head(store=store, views=1).record["augment"] == "none"


@pytest.mark.slow
def test_the_report_says_what_views_gained_and_cost(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = run(photos, backbones=("tiny",), weights="random", views=3, heads=("logistic",), store=store)
    assert done.report is not None
    assert sorted(each.record["views"] for each in done.report.runs) == [1, 3]
    (gain,) = done.report.gains
    several = next(each for each in done.report.runs if each.record["views"] == 3)
    plain = next(each for each in done.report.runs if each.record["views"] == 1)
    accuracies = [each.record["metrics"]["test"]["accuracy"] for each in (several, plain)]
    assert gain.difference == pytest.approx(accuracies[0] - accuracies[1])
    assert gain.interval[0] <= gain.difference <= gain.interval[1]
    assert gain.rows == 2 * plain.record["metrics"]["train"]["images"]
    text = (report_in(store) / "report.md").read_text()
    assert "What views gained and cost" in text
    assert "points of test accuracy" in text
    assert report_heads(store=store).to_json()["views"] == [gain.to_json()]


def test_views_go_with_the_generation_of_their_pictures(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, exact = tmp_path / "store", SwiftEngine.extract
    extract(photos, store, views=2)
    monkeypatch.setattr(SwiftEngine, "extract", lambda self, images: tuple(1.1 * rows for rows in exact(self, images)))
    new = extract(photos, store, views=2, new=True)
    assert (new.extracted, new.view_rows_extracted) == (36, len(train_keys(store)))
    kept = FeatureStore(store)
    first = kept.find_feature_set()
    assert first.recipe.generation == 1
    (view,) = kept.views_of(first)
    assert view.recipe.generation == 1
    # A view that is added later belongs to the generation that its pictures have.
    assert extract(photos, store, views=3).extracted == 0
    assert [each.recipe.generation for each in kept.views_of(first)] == [1, 1]


@pytest.mark.parametrize("view", [0, 1])
def test_a_family_is_of_one_installation(view: int, swift: str, photos: Path, tmp_path: Path) -> None:
    """Whichever view the installation disagrees with, it adds none; with --new it begins them all."""
    store = tmp_path / "store"
    extract(photos, store, views=2)
    kept = FeatureStore(store)
    features = [kept.find_feature_set(), *kept.views_of(kept.find_feature_set())][view]
    recipe = features.folder / "recipe.json"
    content = json.loads(recipe.read_text())
    content["probe"] = {name: [1.5 * value for value in values] for name, values in content["probe"].items()}
    recipe.write_text(json.dumps(content))
    with pytest.raises(OtherNumbers):
        extract(photos, store, views=3)
    assert len(kept.feature_sets()) == 2
    new = extract(photos, store, views=3, new=True)
    assert (new.extracted, new.view_rows_extracted) == (36, 2 * len(train_keys(store)))
    assert sorted(each.recipe.generation for each in kept.feature_sets()) == [0, 0, 1, 1, 1]


@pytest.mark.slow
def test_an_error_while_opening_leaves_the_data_set_as_it_was(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    before = (store / "datasets" / "photos.csv").read_bytes()
    with pytest.raises(UnknownLayer):
        extract(photos, store, layer="nope", seed=9)
    assert (store / "datasets" / "photos.csv").read_bytes() == before


def test_a_view_that_is_gone_is_missed(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store, views=4)
    kept = FeatureStore(store)
    second = kept.views_of(kept.find_feature_set())[1]
    shutil.rmtree(second.folder)
    record = train_head(store=store).record
    assert record["views"] == 2
    (note,) = [each for each in record["warnings"] if "left out" in each]
    assert "views from 2 on are left out" in note
    assert "extract-features --backbone tiny" in note


def test_views_that_are_not_there_are_not_replaced_by_others(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from demijohn.models import BACKBONES
    from support.standin import TINY

    store = tmp_path / "store"
    extract(photos, store, views=2, augment="flip")
    ways = r"no views by crop: expected those by flip, or run extract-features .*--augment crop"
    with pytest.raises(UnknownFeatures, match=ways):
        train_head(store=store, augment="crop")
    with pytest.raises(InvalidRequest, match="--views 1 takes none"):
        train_head(store=store, augment="flip", views=1)
    with pytest.raises(InvalidRequest, match="-1 views are asked for"):
        train_head(store=store, views=-1)
    # Joined sets are augmented alike, or not at all.
    monkeypatch.setitem(BACKBONES, "other", replace(TINY, name="other", resize="crop-bicubic"))
    extract_features(photos, backbone="other", weights="random", store=store, views=2, augment="crop")
    with pytest.raises(UnknownFeatures, match="several augmentations: crop and flip"):
        train_head(store=store, backbone="tiny+other")
    assert train_head(store=store, backbone="tiny+other", views=1).record["views"] == 1


def test_one_backbone_in_two_spellings_is_run_once(swift: str, photos: Path, tmp_path: Path) -> None:
    done = extract_feature_sets(photos, backbones=("tiny", "Tiny"), weights="random", store=tmp_path / "store", views=2)
    assert [each.extracted for each in done] == [36]
    assert [each.view_rows_extracted for each in done] == [len(train_keys(tmp_path / "store"))]


@pytest.mark.parametrize("request_", [{"backbones": "tiny"}, {"layers": "last"}, {"layers": ()}, {"backbones": ()}])
def test_a_name_where_a_sequence_is_expected_is_told(
    request_: dict[str, Any], swift: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="expected"):
        extract_feature_sets(photos, **{"backbones": ("tiny",), "weights": "random", "store": tmp_path, **request_})


@pytest.mark.slow
def test_rows_of_a_view_are_made_again(swift: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", views=2)
    told = recompute_rows(5, store=tmp_path / "store")
    assert len(told) == 2
    assert {each.greatest_difference for each in told} == {0.0}


@pytest.mark.parametrize("misspelt", [{"weigths": "random"}, {"backbones": ("tiny",)}, {"layers": ("last",)}])
def test_an_argument_of_another_name_is_not_passed_over(
    misspelt: dict[str, Any], swift: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(TypeError):
        extract(photos, tmp_path / "store", **misspelt)
    assert not (tmp_path / "store").exists()
