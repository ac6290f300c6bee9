"""A feature set is opened again by what its recipe.json says, or it is told why it cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import FeatureSet, FeatureStore
from demijohn.pipeline import InvalidRequest, OtherNumbers, extract_feature_sets
from demijohn.pipeline.extraction.reopening import Reopener, request_of
from demijohn.pipeline.extraction.survey import recipes_of
from demijohn.pipeline.pictures.images import ReadingPolicy
from demijohn.pipeline.progress import SILENT
from support.standin import build

CHOICES: list[dict[str, Any]] = [
    {},
    {"weights": "random:3", "resize": "pad"},
    {"layers": ("conv",), "pooling": "max", "input_size": (20, 24)},
    {"pooling": "none", "reading": ReadingPolicy("accept")},
    {"views": 2, "augment": "flip,rotation", "views_for": "all"},
]


def extract(photos: Path, store: Path, **choices: Any) -> list[FeatureSet]:
    """Return the feature sets that were made."""
    request: dict[str, Any] = {"backbones": ("tiny",), "weights": "random", **choices}
    extract_feature_sets(photos, store=store, **request)
    return FeatureStore(store).feature_sets()


@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_the_request_that_a_set_answers_is_found_again(
    swift: str, photos: Path, tmp_path: Path, choices: dict[str, Any]
) -> None:
    store = FeatureStore(tmp_path / "store")
    sets = extract(photos, store.folder, **choices)
    for each in sets:
        [(_, _, [found, *_])] = recipes_of(store, request_of(store, each, SILENT))
        assert found.recipe == each.recipe.of_view(0, "none")
        assert Reopener(store, sets, SILENT).open(each).features.digest == each.digest


@pytest.mark.slow
def test_sets_of_one_network_share_it_and_a_file_is_found_from_anywhere(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build(top=False).save(tmp_path / "mine.keras")
    store = FeatureStore(tmp_path / "store")
    own: dict[str, Any] = {"backbones": ("mine.keras",), "weights": "imagenet", "preprocessing": "unit"}
    sets = extract(photos, store.folder, **own, layers=("conv", "relu"))
    monkeypatch.chdir("/")
    reopener = Reopener(store, sets, SILENT)
    first, second = (reopener.open(each) for each in sets)
    assert first.engine is second.engine
    assert {first.output, second.output} == {0, 1}


def rewrite(features: FeatureSet, change: Any) -> FeatureSet:
    """Return the set after its recipe.json was changed."""
    file = features.folder / "recipe.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return FeatureSet.load(features.folder)


def test_another_recipe_is_told_by_its_fields_and_other_numbers_with_the_way_out(
    swift: str, photos: Path, tmp_path: Path
) -> None:
    store = FeatureStore(tmp_path / "store")
    [features] = extract(photos, store.folder)
    other = rewrite(features, lambda content: content["recipe"].update(decoder="of another version"))
    with pytest.raises(InvalidRequest, match=r"the recipe would be another: decoder: of another version -> pillow"):
        Reopener(store, [other], SILENT).open(other)
    rewrite(other, lambda content: content["recipe"].update(decoder=features.recipe.decoder))
    odd = rewrite(features, lambda content: content["probe"].update({"probe.jpg": [9.0] * 8}))
    with pytest.raises(OtherNumbers, match=r"gives other features .* --store \S+ --new, and train again on its fea"):
        Reopener(store, [odd], SILENT).open(odd)
