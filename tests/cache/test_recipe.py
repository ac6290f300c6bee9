"""A recipe's digest is stable and sensitive to every field."""

import json
from dataclasses import astuple, fields, replace

import pytest
from demijohn.cache import DamagedFile, NewerFormat, Recipe
from demijohn.cache.recipe import differences
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Recipe(
    backbone="xception",
    weights="ab" * 32,
    input_size=(299, 299),
    decoder="pillow",
    colour="rgb8",
    orientation="exif",
    resize="squash-bilinear",
    preprocessing="(rgb - 127.5) / 127.5",
    layer="last",
    pooling="avg",
    precision="float32",
    view=0,
)
CHANGED = {"input_size": (299, 300), "view": 1, "generation": 1}
texts = st.text(max_size=20)
recipes = st.builds(
    Recipe,
    **{field.name: texts for field in fields(Recipe) if field.name not in CHANGED},  # type: ignore[arg-type]
    input_size=st.tuples(st.integers(1, 999), st.integers(1, 999)),
    view=st.integers(0, 99),
    generation=st.integers(0, 9),
)


def test_the_digest_is_the_one_that_stores_out_there_are_named_by() -> None:
    assert EXAMPLE.digest == "3077dc33e1641501b185fde15344b7ff36ed214be3b5690a39e22f0d8ee6da03"
    assert EXAMPLE.folder == f"xception-{EXAMPLE.digest[:12]}"


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_every_field_counts(name: str) -> None:
    other = replace(EXAMPLE, **{name: CHANGED.get(name, "other")})  # type: ignore[arg-type]
    assert other.digest != EXAMPLE.digest


@given(recipes)
def test_round_trip_whatever_the_order_of_the_fields(recipe: Recipe) -> None:
    value = recipe.to_json()
    backwards = dict(reversed(value.items()))
    assert Recipe.from_json(backwards) == recipe
    assert Recipe.from_json(backwards).digest == recipe.digest


@given(recipes, recipes)
def test_two_recipes_share_a_digest_only_if_they_are_equal(one: Recipe, other: Recipe) -> None:
    assert (one.digest == other.digest) == (one == other)


def test_a_newer_format_is_told_and_a_damaged_one_too() -> None:
    value = EXAMPLE.to_json()
    with pytest.raises(NewerFormat, match="install a newer demijohn"):
        Recipe.from_json({**value, "format": 99, "unheard of": 1})
    for damaged in ({**value, "extra": 1}, {k: v for k, v in value.items() if k != "layer"}, {**value, "format": None}):
        with pytest.raises(DamagedFile, match="expected the fields"):
            Recipe.from_json(damaged)


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_a_missing_field_is_named_with_the_file(name: str) -> None:
    value = {key: each for key, each in EXAMPLE.to_json().items() if key != name}
    with pytest.raises(DamagedFile, match=rf"a/recipe\.json is damaged.*{name}"):
        Recipe.from_json(value, "a/recipe.json")


@pytest.mark.parametrize("change", [{"format": 0}, {"format": "1"}, {"format": 2.5}, {"invented": None}])
def test_an_unknown_field_or_format_is_damage(change: dict[str, object]) -> None:
    with pytest.raises(DamagedFile, match="is damaged"):
        Recipe.from_json({**EXAMPLE.to_json(), **change})


def test_the_way_through_a_file_keeps_every_type() -> None:
    again = Recipe.from_json(json.loads(json.dumps(EXAMPLE.to_json())))
    assert again == EXAMPLE
    assert [type(value) for value in astuple(again)] == [type(value) for value in astuple(EXAMPLE)]


def test_digests_are_shortened_where_they_differ_and_nothing_else_is() -> None:
    for text in ("c" * 63, "g" * 64, "0123", "crop-bilinear"):
        assert differences(EXAMPLE, replace(EXAMPLE, resize=text)) == [f"resize: {EXAMPLE.resize} -> {text}"]
    assert differences(EXAMPLE, replace(EXAMPLE, weights="cd" * 32)) == ["weights: abababababab -> cdcdcdcdcdcd"]
