"""The card says what is known, in Markdown that shows names as what they are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.pipeline import extract_features, train_head
from demijohn.pipeline.deployment.model_card import render_card
from demijohn.pipeline.deployment.parity import Checked, Parity
from support.pictures import COLOURS, write_classes
from support.standin import TINY

CHECKED = Checked(("a.png",), "test", np.zeros((1, 16, 16, 3), np.uint8), np.ones((1, 3)) / 3, ("odd_|.png",))
PARITIES = [Parity("model.onnx", "onnxruntime 1.0", 12, 11, 3.2e-5, 1e-3, 1_400_000)]


@pytest.fixture(scope="module")
def facts(guard: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Return the arguments of a card, of a class with a name that Markdown would take for something else."""
    folder = tmp_path_factory.mktemp("card")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        for name, colour in (("a|b*c", "red"), ("<b>", "blue"), ("green", "green")):
            patch.setitem(COLOURS, name, COLOURS[colour])
        write_classes(folder / "photos", classes=("a|b*c", "<b>", "green"))
        extract_features(folder / "photos", backbone=TINY.name, weights="random", store=folder / "store")
        run = train_head("logistic", store=folder / "store")
        store = FeatureStore(folder / "store")
        yield {
            "record": run.record,
            "table": store.find_dataset(),
            "predictions": run.predictions,
            "temperature": 1.5,
            "recipe": store.find_feature_set().recipe,
            "backbone": TINY,
            "weights": "random",
            "pictures": CHECKED,
            "parities": PARITIES,
        }


def render(facts: dict[str, Any], **other: Any) -> str:
    return render_card(facts["record"], **{**{name: facts[name] for name in facts if name != "record"}, **other})


def test_it_has_every_section_and_the_figures(facts: dict[str, Any]) -> None:
    card = render(facts)
    titles = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    sections = ["Parity", "Data", "Metrics", "Intended use", "Limits", "Licence", "Recipe", "Versions"]
    assert titles == sections
    assert "| `model.onnx` | onnxruntime 1.0 | 11 of 12 | 3.2e-05 | 0.001 | 1.4 MB |" in card
    accuracy, (low, high) = (facts["record"]["metrics"]["test"][name] for name in ("accuracy", "accuracy_interval"))
    line = next(line for line in card.splitlines() if line.startswith("| accuracy |"))
    assert line.endswith(f"| {accuracy:.4f} [{low:.4f}, {high:.4f}] |")
    assert "the temperature that was fitted on validation pictures" in card
    assert "1.5" in card
    assert "squash-bilinear" in card
    for row in [line for line in card.splitlines() if line.startswith("|")]:
        assert row.endswith("|")


def test_names_are_shown_as_they_are_and_numbers_of_pictures_stand_beside_them(facts: dict[str, Any]) -> None:
    card = render(facts)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in card.splitlines() if line.startswith("| ")}
    assert r"a\|b\*c" in rows
    assert r"\<b\>" in rows
    counts = [int(cell) for cell in rows["green"].split(" | ")[1:4]]
    assert sum(counts) == 12
    assert r"odd\_\|.png" in card


def test_what_was_not_calibrated_says_so(facts: dict[str, Any]) -> None:
    assert "they were not calibrated" in render(facts, temperature=1.0)


@pytest.mark.parametrize("resize", ["squash-bilinear", "crop-bicubic", "pad-bilinear"])
def test_what_a_network_does_not_see_is_among_the_limits(facts: dict[str, Any], resize: str) -> None:
    said = {"squash": "squashed", "crop": "centre square", "pad": "gray beside it"}[resize.partition("-")[0]]
    limits = render(facts, recipe=replace(facts["recipe"], resize=resize)).split("## Limits")[1].split("## Licence")[0]
    assert said in limits


def test_the_licence_of_the_weights_and_where_they_are_from(facts: dict[str, Any]) -> None:
    licence = render(facts).split("## Licence")[1].split("## Recipe")[0]
    assert "none as published; these are from random (the tests)" in licence
    licence = render(facts, weights="imagenet", backbone=replace(TINY, licence="Apache 2.0")).split("## Licence")[1]
    assert "Apache 2.0 (the tests)" in licence
