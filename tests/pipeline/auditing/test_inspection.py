"""What features show: twins stay in one fold, and what cannot be looked at is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import FeatureSet, Row
from demijohn.pipeline.auditing import inspection
from demijohn.pipeline.auditing.findings import NearDuplicate
from demijohn.pipeline.auditing.inspection import Inspection, group_pictures, inspect_features
from demijohn.pipeline.progress import SILENT
from numpy.typing import NDArray
from support.pictures import encode
from support.rows import feature_set, key
from support.scenes import scene

WIDTH = 30


def two_classes(each: int = 25) -> tuple[list[Row], NDArray[np.float32]]:
    """Return rows of two classes, and features in which they lie apart."""
    random = np.random.default_rng(0)
    rows = [Row(f"{n}.png", key(n), "cats" if n < each else "dogs", "train") for n in range(2 * each)]
    centres = np.array([[2.0] * 3 + [0.0] * (WIDTH - 3), [0.0] * 3 + [2.0] * 3 + [0.0] * (WIDTH - 6)])
    X = centres[[int(row.label == "dogs") for row in rows]] + random.normal(size=(2 * each, WIDTH))
    return rows, X.astype(np.float32)


def inspect(
    rows: list[Row], X: NDArray[np.float32], folder: Path, *, root: Path | None = None, present: tuple[str, ...] = ()
) -> Inspection:
    """Return the inspection of rows whose features are kept in a folder."""
    features = feature_set(folder)
    features.commit([row.key for row in rows], X)
    return inspect_features(rows, features, root or folder, present, seed=0, progress=SILENT)


def test_a_wrong_label_is_found(tmp_path: Path) -> None:
    rows, X = two_classes()
    rows[4] = replace(rows[4], label="dogs")
    first = inspect(rows, X, tmp_path).label_errors[0]
    assert (first.row, first.suggested, first.confident) == (rows[4], "cats", True)
    assert first.given_probability < 0.5 < first.suggested_probability


def test_twins_with_the_same_wrong_label_do_not_vouch_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, X = two_classes()
    # Five copies of a cat with a mark of its own, all called dogs: in five folds they would learn the mark.
    X[:, 20] = 0
    X[:5] = 0
    X[:5, :3], X[:5, 3:6], X[:5, 20] = 1.5, 0.5, 12
    rows[:5] = [replace(row, label="dogs") for row in rows[:5]]
    twins = {row.key for row in rows[:5]}
    assert twins <= {each.row.key for each in inspect(rows, X, tmp_path).label_errors}
    monkeypatch.setattr(inspection, "group_pictures", lambda rows, _: np.arange(len(rows)))
    assert not twins & {each.row.key for each in inspect(rows, X, tmp_path).label_errors}


def test_a_class_of_one_group_is_not_judged_and_it_is_said(tmp_path: Path) -> None:
    rows, X = two_classes()
    rows = [replace(row, group=f"film of {row.label}") for row in rows]
    found = inspect(rows, X, tmp_path)
    assert found.label_errors == ()
    note = "labels that could not be judged, since all pictures of the class are of one group: 50"
    assert note in found.notes


def test_groups_come_of_near_duplicates_and_of_the_table() -> None:
    rows, _ = two_classes(3)
    rows[4], rows[5] = replace(rows[4], group="film"), replace(rows[5], group="film")
    stranger = Row("x.png", key(99), "cats", "train")
    pairs = [NearDuplicate(rows[0], rows[2], 1, 1, False), NearDuplicate(rows[1], stranger, 1, 1, False)]
    groups = group_pictures(rows, pairs).tolist()
    assert groups[0] == groups[2]
    assert groups[4] == groups[5]
    assert len(set(groups)) == 4


def test_pixels_decide_over_features_that_are_only_like(tmp_path: Path) -> None:
    rows, X = two_classes()
    X[1], X[3] = X[0], X[2]
    for name, image in (("0.png", scene(1)), ("1.png", scene(1)), ("2.png", scene(1)), ("3.png", scene(2))):
        (tmp_path / name).write_bytes(encode(image))
    found = inspect(rows, X, tmp_path, present=("0.png", "1.png", "2.png", "3.png"))
    assert [(pair.first.path, pair.second.path) for pair in found.near_duplicates] == [("0.png", "1.png")]
    assert not any("judged by their features alone" in note for note in found.notes)


def test_without_pixels_features_decide_and_it_is_said(tmp_path: Path) -> None:
    rows, X = two_classes()
    X[1] = X[0]
    rows[1] = replace(rows[1], split="test")
    found = inspect(rows, X, tmp_path)
    (pair,) = found.near_duplicates
    assert pair.across_splits
    assert (pair.correlation, pair.mirrored) == (None, None)
    assert "pairs of which a picture could not be read, judged by their features alone" in " ".join(found.notes)


def test_pictures_without_features_and_small_classes_are_said(tmp_path: Path) -> None:
    rows, X = two_classes()
    rows += [Row("rare.png", key(500), "rare", "train"), Row("bare.png", key(501), "cats", "train")]
    X = np.concatenate([X, np.zeros((1, WIDTH), dtype=np.float32)])
    features = feature_set(tmp_path)
    features.commit([row.key for row in rows[:-1]], X)
    found = inspect_features(rows, features, tmp_path, (), seed=0, progress=SILENT)
    assert found.looked_at == 51
    assert "distinct pictures without features, of which only bytes and header were seen: 1" in found.notes
    refused = inspect_features(rows, features, tmp_path, (), unreadable={key(501)}, seed=0, progress=SILENT)
    assert not any("without features" in note for note in refused.notes)
    assert "classes with too few pictures to tell outliers and label errors: rare (1)" in found.notes


def test_without_features_or_classes_there_is_a_word_and_no_finding(tmp_path: Path) -> None:
    rows, X = two_classes()
    features: FeatureSet | None
    for features in (None, feature_set(tmp_path / "empty")):
        found = inspect_features(rows, features, tmp_path, (), seed=0, progress=SILENT)
        assert found.looked_at == 0
        assert "run extract-features" in found.notes[0]
    alone = [replace(row, label="") for row in rows]
    found = inspect(alone, X, tmp_path)
    assert found.label_errors == ()
    assert found.outliers == ()
    assert "no label errors: telling them needs two classes of at least 5 pictures" in found.notes
