"""Stage two: from the store alone; one row per picture; the class list travels with the run."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore, MissingFeatures, UnknownDataset, UnknownFeatures
from demijohn.cache.part import keys_from_array
from demijohn.models import HEADS, load_head
from demijohn.pipeline import NotTrainable, extract_features, train_head
from support.pictures import encode, picture, write_classes


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> Path:
    """Return a store with the features of three classes; the pictures are gone."""
    folder = tmp_path / "store"
    extract_features(photos, backbone=swift, weights="random", store=folder)
    shutil.rmtree(photos)
    return folder


@pytest.fixture
def computed(tiny: str, photos: Path, tmp_path: Path) -> Path:
    """Return such a store that TensorFlow has computed."""
    folder = tmp_path / "store"
    extract_features(photos, backbone=tiny, weights="random", store=folder)
    shutil.rmtree(photos)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("head", list(HEADS))
def test_a_run_holds_everything_and_its_head_gives_its_predictions(computed: Path, head: str) -> None:
    run = train_head(head, store=computed)
    record = run.record
    assert record["classes"] == ["blue", "green", "red"]
    assert [record["metrics"][split]["images"] for split in ("train", "validation", "test")] == [21, 10, 5]
    assert record["metrics"]["test"]["accuracy"] > 0.8
    low, high = record["metrics"]["test"]["accuracy_interval"]
    assert low <= record["metrics"]["test"]["accuracy"] <= high
    kept = FeatureStore(computed)
    assert record["features_digest"] == kept.find_feature_set().digest
    assert record["dataset_digest"] == kept.find_dataset().digest
    assert record["versions"]["keras"]
    predictions = run.predictions
    keys = keys_from_array(predictions.keys)
    rows, test = kept.find_feature_set().read(keys), predictions.splits == 2
    for file, part in ((record["head_file"], test), (record["selection_file"], ~test)):
        scores = load_head(run.folder / file)(rows[part])
        assert np.allclose(scores, predictions.scores[part], atol=1e-5)
    labels = {row.key: row.label for row in kept.find_dataset().rows}
    assert [record["classes"][code] for code in predictions.labels] == [labels[key] for key in keys]
    assert (predictions.scores.argmax(axis=1) == predictions.predicted).all()
    assert sorted(path.name for path in run.folder.iterdir() if path.suffix in (".pkl", ".pickle", ".joblib")) == []


@pytest.mark.slow
def test_the_dense_head_keeps_its_curves(store: Path) -> None:
    run = train_head("dense", store=store, settings={"epochs": 4, "hidden": (8, 4), "batch_norm": True})
    assert list(run.history) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert run.history["epoch"] == [1, 2, 3, 4]
    assert run.record["settings"]["hidden"] == [8, 4]


def test_the_same_request_is_recognised_and_another_is_not(store: Path) -> None:
    first = train_head("logistic", store=store)
    stamp = (first.folder / "run.json").stat().st_mtime_ns
    again = train_head("logistic", store=store, settings={"balanced": False})
    assert again.id == first.id
    assert (first.folder / "run.json").stat().st_mtime_ns == stamp
    assert train_head("logistic", store=store, settings={"c": 1.0}).id != first.id
    assert train_head("logistic", store=store, seed=1).id != first.id
    forced = train_head("logistic", store=store, force=True)
    assert forced.id == first.id
    assert (first.folder / "run.json").stat().st_mtime_ns != stamp
    assert forced.record["metrics"] == first.record["metrics"]


@pytest.mark.slow
def test_renamed_files_change_neither_run_nor_digest(swift: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos")
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    before = train_head("logistic", store=tmp_path / "store")
    (photos / "red" / "000.png").rename(photos / "red" / "zzz.png")
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    assert train_head("logistic", store=tmp_path / "store").id == before.id


@pytest.mark.slow
def test_bytes_under_two_labels_are_left_out(swift: str, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "red" / "000.png", photos / "green" / "also.png")
    shutil.copy(photos / "red" / "001.png", photos / "red" / "again.png")
    done = extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    assert any("under two labels, left out of training: 2" in note for note in done.notes)
    run = train_head("logistic", store=tmp_path / "store")
    assert sum(run.record["metrics"][split]["images"] for split in run.record["metrics"]) == 35
    assert any("two labels: 2 files" in warning for warning in run.record["warnings"])


@pytest.mark.slow
def test_unreadable_pictures_are_left_out_and_missing_ones_are_an_error(
    swift: str, photos: Path, tmp_path: Path
) -> None:
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    store = tmp_path / "store"
    extract_features(photos, backbone=swift, weights="random", store=store)
    run = train_head("logistic", store=store)
    assert len(run.predictions.keys) == 36
    (photos / "red" / "new.png").write_bytes(encode(picture(99)))
    other = tmp_path / "other"
    extract_features(photos / "red", backbone=swift, weights="random", store=other, dataset="part")
    shutil.copytree(store / "datasets", other / "datasets", dirs_exist_ok=True)
    with pytest.raises(MissingFeatures, match=r"2\d of 3\d pictures have no features of tiny.*run extract-features"):
        train_head("logistic", store=other, dataset="photos")


@pytest.mark.slow
def test_what_is_ambiguous_is_listed(swift: str, store: Path, tmp_path: Path) -> None:
    more = write_classes(tmp_path / "more", per_class=3)
    extract_features(more, backbone=swift, weights="random:1", store=store)
    with pytest.raises(UnknownDataset, match="2 data sets: more, photos; choose one with --dataset"):
        train_head(store=store)
    with pytest.raises(UnknownFeatures, match="choose one with --features"):
        train_head(store=store, dataset="more", backbone=swift)
    for features in FeatureStore(store).feature_sets():
        if len(features.keys()) == 9:
            assert train_head(store=store, dataset="more", features=features.digest[:6]).record["dataset"] == "more"


@pytest.mark.slow
def test_one_class_is_an_error(swift: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", classes=("red",))
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    with pytest.raises(NotTrainable, match=r"at least two classes .* found one \(red\)"):
        train_head(store=tmp_path / "store")


@pytest.mark.slow
def test_no_labels_is_an_error(swift: str, photos: Path, tmp_path: Path) -> None:
    extract_features(photos / "red", backbone=swift, weights="random", store=tmp_path / "store")
    with pytest.raises(NotTrainable, match="has no labels"):
        train_head(store=tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("head", list(HEADS))
def test_one_picture_per_class_trains_and_says_what_is_undefined(swift: str, tmp_path: Path, head: str) -> None:
    photos = write_classes(tmp_path / "photos", per_class=1)
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    run = train_head(head, store=tmp_path / "store")
    assert run.record["metrics"]["test"]["accuracy"] is None
    assert any("no validation pictures" in warning for warning in run.record["warnings"])
    json.dumps(run.record, allow_nan=False)


def test_the_test_split_is_touched_once_and_only_at_the_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demijohn.models.heads.linear import LogisticHead

    seen: list[np.ndarray] = []
    fit = LogisticHead.fit

    def watching(self: LogisticHead, X: np.ndarray, y: np.ndarray, **options: Any) -> LogisticHead:
        seen.extend([X, options["validation"][0]] if "validation" in options else [X])
        return fit(self, X, y, **options)

    monkeypatch.setattr(LogisticHead, "fit", watching)
    run = train_head("logistic", store=store)
    test_keys = keys_from_array(run.predictions.keys[run.predictions.splits == 2])
    test_rows = {row.tobytes() for row in FeatureStore(store).find_feature_set().read(test_keys)}
    assert len(seen) == 3, "selection head with validation rows, and the head that is used"
    assert not test_rows & {row.tobytes() for matrix in seen for row in matrix}
