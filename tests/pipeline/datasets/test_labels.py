"""What names say: labels and groups by patterns, and which pattern is offered."""

import re
import shlex
from pathlib import PurePosixPath

import pytest
from demijohn.pipeline.datasets.labelling import Labelling
from demijohn.pipeline.datasets.labels import group_of, label_of, offer_pattern
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("pattern", "path", "label"),
    [
        (r"^(\w+)\.", "cat.0.jpg", "cat"),
        (r"^(\w+)\.", "dogs/cat.0.jpg", "cat"),
        (r"^(?P<label>[^_]+)_(\d+)", "dog_12.jpg", "dog"),
        (r"^(\d+)_(?P<label>[^.]+)", "12_dog.jpg", "dog"),
        (r"^(cat)?", "dog.jpg", ""),
        (r"(cat)", "cat/dog.jpg", ""),
        (r"^(.+)-", "\udce9t\udce9-1.jpg", "\udce9t\udce9"),
    ],
)
def test_the_label_is_the_group_of_the_pattern_in_the_name(pattern: str, path: str, label: str) -> None:
    place = PurePosixPath(path)
    assert label_of(place.name, place.parts[:-1], Labelling(label_pattern=pattern)) == label


@pytest.mark.parametrize(("level", "label"), [(None, "lab"), (1, "lab"), (2, "cats"), (3, "")])
def test_the_label_is_the_folder_of_the_level(level: int | None, label: str) -> None:
    assert label_of("1.jpg", ("lab", "cats"), Labelling(label_level=level)) == label


@pytest.mark.parametrize(
    ("pattern", "path", "group"),
    [
        (None, "a/b.jpg", ""),
        (r"patient(\d+)", "cats/patient7/1.jpg", "7"),
        (r"^[^/]+/(?P<group>[^/_]+)_(\d+)", "cats/film_12.jpg", "film"),
        (r"patient(\d+)", "cats/1.jpg", ""),
    ],
)
def test_the_group_is_found_in_the_path(pattern: str | None, path: str, group: str) -> None:
    assert group_of(path, Labelling(group_pattern=pattern)) == group


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"], {"cat": 2, "dog": 2}),
        (["american_pit_bull_1.jpg", "american_pit_bull_10.jpg", "Abyssinian_1.jpg", "Abyssinian_2.jpg"], None),
        (["cat-1.jpg", "cat-2.jpg", "dog-1.jpg", "dog-2.jpg"], None),
        (["cat (1).jpg", "cat (2).jpg", "dog (1).jpg", "dog (2).jpg"], None),
        (["cat 1.jpg", "cat 2.jpg", "dog 1.jpg", "dog 2.jpg"], None),
        (["cat001.jpg", "cat002.jpg", "dog001.jpg", "dog002.jpg"], None),
        (["cat_ab3f.jpg", "cat_99aa.jpg", "dog_cc0f.jpg", "dog_01ab.jpg"], None),
        (["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.2.jpg", "train/dog.3.jpg", "test1/1.jpg"], None),
    ],
)
def test_the_pattern_that_is_offered_finds_the_labels(names: list[str], labels: dict[str, int] | None) -> None:
    offer = offer_pattern(names)
    assert offer is not None
    words = shlex.split(re.search(r": (--label-pattern .*) takes them$", offer)[1])  # type: ignore[index]
    labelling = Labelling(label_pattern=words[1])
    found = {label_of(PurePosixPath(name).name, (), labelling) for name in names} - {""}
    assert len(found) == 2
    assert all(len(label) > 2 and label[-1].isalpha() for label in found)
    for label in found:
        assert f"{label}: 2" in offer


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg"],
        ["2020-01-01.jpg", "2020-01-02.jpg", "2020-02-01.jpg", "2020-02-02.jpg"],
        ["lily.jpg", "rose.jpg", "tulip.jpg"],
        ["a1b2.jpg", "ff0c.jpg", "9e1d.jpg", "77aa.jpg"],
        ["cat_1.jpg", "dog_1.jpg"],
        ["cat_1.jpg", "cat_2.jpg", "dog_1.jpg", "dog_2.jpg", *(f"{word}.jpg" for word in "abcdefg")],
    ],
)
def test_no_pattern_is_offered_where_names_are_only_names(names: list[str]) -> None:
    assert offer_pattern(names) is None


@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda name: "/" not in name and "\0" not in name)))
def test_any_names_can_be_asked_about(names: list[str]) -> None:
    offer = offer_pattern(names)
    assert offer is None or "--label-pattern" in offer
