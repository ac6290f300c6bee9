"""The shortcut probe: silent where facts say nothing, loud with the right fact where one gives the class away."""

import json

import numpy as np
import pytest
from demijohn.pipeline.auditing import shortcuts
from demijohn.pipeline.auditing.shortcuts import Shortcuts, probe_shortcuts
from demijohn.pipeline.pictures.facts import FileFacts


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten trees instead of forty tell these made facts as well."""
    monkeypatch.setattr("demijohn.models.heads.probes.TREES", 10)


def facts(count: int, seed: int = 0) -> list[FileFacts]:
    """Return facts that have nothing to do with anything."""
    random = np.random.default_rng(seed)
    return [FileFacts(*(int(each) for each in random.integers(100, 900, 3)), "JPEG", 75) for _ in range(count)]


def probe(given: list[FileFacts], labels: list[str], **options: object) -> Shortcuts:
    """Return what the probe finds, which is not nothing."""
    found = probe_shortcuts(given, labels, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_facts_that_say_nothing_give_no_warning() -> None:
    found = probe(facts(120), ["a", "b", "c"] * 40)
    assert found.chance == pytest.approx(1 / 3)
    assert not found.above_chance
    assert found.warning is None
    assert found.to_json()["warning"] is None


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("file size", {"size": 5000}),
        ("width", {"width": 500}),
        ("height", {"height": 500}),
        ("JPEG quality", {"quality": 92}),
        ("kind", {"kind": "PNG"}),
    ],
)
def test_the_fact_that_gives_the_class_away_is_named(name: str, planted: dict[str, object]) -> None:
    given = [FileFacts(100, 100, 100, "JPEG", 75)] * 40
    values = {"size": 100, "width": 100, "height": 100, "kind": "JPEG", "quality": 75, **planted}
    given += [FileFacts(**values)] * 40  # type: ignore[arg-type]
    found = probe(given, ["a"] * 40 + ["b"] * 40)
    assert found.strongest is not None
    # Width alone changes the aspect as well; both tell it all, and the first is named.
    assert found.strongest.fact == name
    assert found.strongest.balanced_accuracy == 1
    assert found.warning is not None
    assert f"the strongest single fact is {name}, 100.0%" in found.warning
    assert "guessing has 50.0%" in found.warning


def test_the_aspect_is_found_where_no_side_tells() -> None:
    random = np.random.default_rng(0)
    sides = random.integers(100, 900, 160)
    given = [
        FileFacts(100, int(side), int(side * (1.5 if at % 2 else 0.75)), "JPEG", 75) for at, side in enumerate(sides)
    ]
    found = probe(given, ["a", "b"] * 80)
    assert found.strongest is not None
    assert found.strongest.fact == "aspect"


def test_a_rare_class_is_no_shortcut_and_majority_is_told() -> None:
    found = probe(facts(200), ["a"] * 180 + ["b"] * 20)
    assert found.majority == 0.9
    assert not found.above_chance
    assert found.accuracy == pytest.approx(0.9, abs=0.03)


def test_what_is_alike_everywhere_has_no_figure() -> None:
    found = probe([FileFacts(1, 2, 3, "PNG", None)] * 20, ["a", "b"] * 10)
    assert all(each.balanced_accuracy is None for each in found.singles)
    assert found.strongest is None
    assert found.warning is None
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.slow
def test_a_twin_on_the_other_side_does_not_give_the_class_away() -> None:
    """Five pictures of one patient have one size, but size says nothing about the class of the next patient."""
    patients = facts(40, seed=5)
    given = [each for each in patients for _ in range(5)]
    labels = [label for label in ["a", "b"] * 20 for _ in range(5)]
    groups = np.repeat(np.arange(40), 5)
    assert probe(given, labels).together.balanced_accuracy > 0.9  # type: ignore[operator]
    assert probe(given, labels, groups=groups).together.balanced_accuracy < 0.7  # type: ignore[operator]


def test_too_few_pictures_are_not_probed() -> None:
    assert probe_shortcuts([], []) is None
    assert probe_shortcuts(facts(9), ["a"] * 5 + ["b"] * 4) is None
    assert probe_shortcuts(facts(40), ["a", "b"] * 20, groups=np.arange(40) % 2) is None
    found = probe(facts(14), ["a"] * 5 + ["b"] * 5 + ["c"] * 4)
    assert (found.images, found.chance) == (10, 0.5)


@pytest.mark.slow
def test_of_many_pictures_some_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "MOST", 50)
    given, labels = facts(200), ["a", "b"] * 100
    assert probe(given, labels).images == 50
    assert probe(given, labels, seed=1) == probe(given, labels, seed=1)
    assert probe(given, labels, seed=1) != probe(given, labels, seed=2)
