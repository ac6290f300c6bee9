"""Bottleneck features in scikit-learn's hands: cloned, pickled, searched over, and extracted once."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from demijohn.cache import FeatureStore
from demijohn.models import BACKBONES, UnknownBackbone
from demijohn.pipeline import BottleneckFeatures, InvalidRequest, UnreadableImage, extract_features
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from support.pictures import write_classes
from support.swift import SwiftEngine

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture
def paths(photos: Path) -> list[str]:
    return sorted(str(path) for path in photos.rglob("*.png"))


@pytest.fixture
def labels(paths: list[str]) -> list[str]:
    return [Path(path).parent.name for path in paths]


@pytest.fixture
def features(swift: str, tmp_path: Path) -> BottleneckFeatures:
    return BottleneckFeatures(swift, weights="random", store=tmp_path / "store")


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    extract = SwiftEngine.extract

    def count(self: SwiftEngine, images: Any) -> Any:
        counts.append(len(images))
        return extract(self, images)

    monkeypatch.setattr(SwiftEngine, "extract", count)
    return counts


def test_it_gives_the_rows_of_the_store_that_the_command_line_uses(
    features: BottleneckFeatures, photos: Path, paths: list[str], tmp_path: Path
) -> None:
    rows = features.fit_transform([*paths, paths[0]])
    assert (rows.shape, rows.dtype, features.n_features_out_) == ((37, 8), np.float32, 8)
    assert rows[0].tobytes() == rows[-1].tobytes()
    done = extract_features(photos, backbone="tiny", weights="random", store=tmp_path / "store")
    assert (done.cached, done.extracted) == (36, 0)
    kept = FeatureStore(tmp_path / "store")
    keys = {str(photos / row.path): row.key for row in kept.find_dataset().rows}
    assert kept.find_feature_set().read([keys[path] for path in paths]).tobytes() == rows[:-1].tobytes()
    assert features.transform([]).shape == (0, 8)


def test_cross_validation_extracts_once_and_the_second_time_nothing(
    features: BottleneckFeatures, paths: list[str], labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counted(monkeypatch)
    pipeline = make_pipeline(features, LogisticRegression(max_iter=1000))
    first = cross_val_score(pipeline, paths, labels, cv=FOLDS)
    # The pictures, and the two of the probe for every clone that had something to extract.
    assert 36 + 2 <= sum(counts) <= 36 + 2 * 6
    del counts[:]
    assert (cross_val_score(pipeline, np.array(paths), labels, cv=FOLDS) == first).all()
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=FOLDS).fit(paths, labels)
    assert search.predict(paths[:2]).shape == (2,)
    assert counts == []


@pytest.mark.slow
def test_parameters_choose_feature_sets_in_a_grid_search(
    features: BottleneckFeatures, paths: list[str], labels: list[str], tmp_path: Path
) -> None:
    pipeline = make_pipeline(features, LogisticRegression(max_iter=1000))
    grid = {"bottleneckfeatures__resize": [None, "crop"], "bottleneckfeatures__weights": ["random", "random:1"]}
    GridSearchCV(pipeline, grid, cv=FOLDS).fit(paths, labels)
    sets = FeatureStore(tmp_path / "store").feature_sets()
    assert len({(each.recipe.resize, each.recipe.weights) for each in sets}) == 4
    assert all(len(each.keys()) == 36 for each in sets)
    changed = clone(features).set_params(weights="random:7")
    changed.fit(paths[:1])
    assert len(FeatureStore(tmp_path / "store").feature_sets()) == 5


def test_clones_and_pickles_hold_no_network_and_go_on(features: BottleneckFeatures, paths: list[str]) -> None:
    rows = features.fit_transform(paths)
    assert not hasattr(clone(features), "n_features_out_")
    written = pickle.dumps(features)
    assert len(written) < 1000
    again = pickle.loads(written)
    assert again.n_features_out_ == 8
    assert again.transform(paths).tobytes() == rows.tobytes()
    assert features.transform(paths).tobytes() == rows.tobytes()


def test_names_of_features_and_output_as_a_table(features: BottleneckFeatures, paths: list[str]) -> None:
    with pytest.raises(NotFittedError):
        features.get_feature_names_out()
    features.fit(paths)
    assert features.get_feature_names_out().tolist() == [f"tiny_{number}" for number in range(8)]
    series = pandas.Series(paths, index=range(100, 136))
    table = features.set_output(transform="pandas").transform(series)
    assert list(table.columns) == [f"tiny_{number}" for number in range(8)]
    assert table.shape == (36, 8)


@pytest.mark.parametrize("form", [list, np.array, lambda paths: np.array(paths, dtype=object)[:, None], tuple])
def test_paths_in_every_form(features: BottleneckFeatures, paths: list[str], form: Any) -> None:
    assert features.transform(form(paths[:3])).shape == (3, 8)
    assert features.transform(form([Path(path) for path in paths[:3]])).shape == (3, 8)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("one.jpg", r"write \['one.jpg'\]"),
        ([1.5], "expected paths of pictures, found float 1.5"),
        (np.zeros((2, 3)), r"found shape \(2, 3\)"),
    ],
)
def test_what_is_no_path_is_told(features: BottleneckFeatures, X: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        features.transform(X)


def test_unreadable_pictures_and_unknown_backbones_are_told(
    features: BottleneckFeatures, paths: list[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"text")
    with pytest.raises(UnreadableImage, match=f"cannot read {bad}: a text file, not a picture"):
        features.transform([*paths, bad])
    with pytest.raises(UnreadableImage, match=r"gone\.jpg: cannot be read: No such file"):
        features.transform(["gone.jpg"])
    with pytest.raises(InvalidRequest, match="found none"):
        features.fit([])
    # As scikit-learn asks, nothing is looked at before it is fitted.
    with pytest.raises(UnknownBackbone, match="did you mean tiny"):
        BottleneckFeatures("tinny", store=tmp_path / "store").fit(paths)


SCRIPT = """
import sys
from pathlib import Path
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from demijohn.pipeline import BottleneckFeatures

paths = sorted(Path({photos!r}).rglob("*.png"))
pipeline = make_pipeline(BottleneckFeatures("efficientnet-lite0", store={store!r}), LogisticRegression())
labels = [path.parent.name for path in paths]
print(cross_val_score(pipeline, paths, labels, cv=2, n_jobs={jobs}).mean(), "tensorflow" in sys.modules)
"""


@pytest.mark.slow
def test_real_features_once_in_a_process_then_in_two_at_once_without_tensorflow(tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", per_class=6, classes=("red", "blue"))

    def run(jobs: int) -> list[str]:
        script = SCRIPT.format(photos=str(photos), store=str(tmp_path / "store"), jobs=jobs)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert "efficientnet-lite0" in BACKBONES
    first = run(jobs=2)
    [features] = FeatureStore(tmp_path / "store").feature_sets()
    assert len(features.keys()) == 12
    parts = features.part_paths()
    assert float(first[0]) == 1.0
    assert run(jobs=2) == [first[0], "False"]
    assert run(jobs=1) == [first[0], "False"]
    assert features.part_paths() == parts
