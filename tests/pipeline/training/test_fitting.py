"""Two heads of a run: what is said of a picture is said by a head that has not seen it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.cache.part import keys_from_array
from demijohn.models import UnsuitableRows, UnsuitableSetting, load_head
from demijohn.models.heads.folds import assign_folds
from demijohn.models.heads.heads import HEADS
from demijohn.models.heads.temperature import calibrate, fit_temperature
from demijohn.pipeline import InvalidRequest, Labelling, extract_features, train_head, train_heads
from demijohn.pipeline.training.fitting import Material, fit_heads
from hypothesis import given
from hypothesis import strategies as st

QUICK: dict[str, dict[str, Any]] = {"dense": {"epochs": 8, "hidden": (), "learning_rate": 0.05}}


@pytest.fixture(scope="module")
def material() -> Material:
    """Return two classes that cannot be told apart, in groups of twins: whoever has seen a twin knows its label."""
    random = np.random.default_rng(0)
    twins = random.normal(size=(60, 30)).astype(np.float32)
    groups = np.repeat(np.arange(60), 2)
    labels = random.integers(0, 2, 60)[groups].astype(np.int32)
    X = twins[groups] + np.float32(0.01) * random.normal(size=(120, 30)).astype(np.float32)
    view = X[:80] + np.float32(0.01)
    return Material(np.concatenate([view, X]), labels, groups.astype(np.int64), 80, 1)


def fit(name: str, material: Material, **options: Any) -> Any:
    record = HEADS[name]
    settings = record.complete(QUICK.get(name, {}))
    return fit_heads(record, settings, material, **{"seed": 0, "refit": True, "folds": None, **options})


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_folds_never_let_a_head_see_a_twin(material: Material, name: str) -> None:
    fitted = fit(name, material, folds=4)
    assert fitted.held_out.shape == (120, 2)
    assert np.isfinite(fitted.held_out).all()
    right = (fitted.held_out.argmax(axis=1) == material.labels).mean()
    assert right < 0.75, "labels are chance"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic", "knn", "dense"])
@pytest.mark.parametrize("folds", [None, 3])
def test_the_selection_head_has_not_seen_validation_and_the_other_has(
    material: Material, name: str, folds: int | None
) -> None:
    fitted = fit(name, material, folds=folds)
    X, y = material.validation  # type: ignore[misc]
    record = HEADS[name]
    settled = {**record.complete(QUICK.get(name, {})), **fitted.selection.chosen_}
    alone = record.make(settled, seed=0).fit(*material.training)
    agreement = (fitted.selection.predict(X) == alone.predict(X)).mean()
    # Keras stops early at the best epoch, or trains up to it: the same steps, rounded otherwise.
    assert agreement > 0.9 if name == "dense" else agreement == 1
    assert (fitted.head.predict(X) == y).mean() > (fitted.selection.predict(X) == y).mean()
    unrefit = fit(name, material, folds=folds, refit=False)
    assert unrefit.head is unrefit.selection


@given(st.integers(2, 6), st.integers(0, 5))
def test_groups_are_in_one_fold(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    groups, labels = random.integers(0, 25, 80), random.integers(0, 3, 80)
    fold = assign_folds(labels, groups, count, seed=seed)
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))
    assert set(fold) == set(range(fold.max() + 1))


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(UnsuitableRows, match=r"at most as many as there are groups.*, 2: give fewer --folds"):
        assign_folds(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), 3, seed=0)


# Calibration.


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_temperature_undoes_what_scores_were_multiplied_by(scale: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(4, p=each) for each in shares])
    found = fit_temperature(logits * scale, labels, are_probabilities=False)
    assert found == pytest.approx(scale, rel=0.1)
    sure = calibrate(logits * scale, found, are_probabilities=False)
    assert np.abs(sure - shares).max() < 0.05
    sharp = shares**3 / (shares**3).sum(axis=1, keepdims=True)
    assert fit_temperature(sharp, labels, are_probabilities=True) == pytest.approx(3, rel=0.1)


def test_all_right_gives_no_certainty() -> None:
    scores = np.eye(3)[np.arange(30) % 3] * 4.0
    sure = calibrate(
        scores, fit_temperature(scores, np.arange(30) % 3, are_probabilities=False), are_probabilities=False
    )
    assert 0.9 < sure.max() < 0.999


# Through the command's function.


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> Path:
    """Return a store with features of three classes."""
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    return tmp_path / "store"


def test_folds_judge_train_and_validation_pictures(store: Path) -> None:
    run = train_head("logistic", store=store, folds=3)
    record, predictions = run.record, run.predictions
    sizes = {split: metrics["images"] for split, metrics in record["metrics"].items()}
    assert sizes["validation"] == (predictions.splits < 2).sum() == predictions.honest.sum()
    assert predictions.out_of_fold
    right = (predictions.predicted == predictions.labels)[predictions.honest].mean()
    assert record["metrics"]["validation"]["accuracy"] == pytest.approx(right)
    assert record["folds"] == record["request"]["folds"] == 3
    plain = train_head("logistic", store=store)
    assert plain.predictions.honest.sum() == sizes["validation"] - sizes["train"]
    assert plain.id != run.id


@pytest.mark.parametrize("head", ["svm", "logistic", "centroid"])
def test_calibrated_scores_are_probabilities_with_the_same_predictions(store: Path, head: str) -> None:
    plain, sure = train_head(head, store=store), train_head(head, store=store, calibrated=True)
    temperature = sure.record["temperature"]
    assert temperature > 0
    assert plain.record["temperature"] is None
    assert sure.predictions.are_probabilities
    np.testing.assert_allclose(sure.predictions.scores.sum(axis=1), 1, rtol=1e-5)
    assert (sure.predictions.predicted == plain.predictions.predicted).all()
    assert sure.record["metrics"]["test"]["log_loss"] is not None
    features = FeatureStore(store).find_feature_set()
    test = sure.predictions.splits == 2
    rows = features.read(keys_from_array(sure.predictions.keys[test]))
    scores = load_head(sure.folder / sure.record["head_file"])(rows)
    told = calibrate(scores, temperature, are_probabilities=head == "logistic")
    np.testing.assert_allclose(told, sure.predictions.scores[test], rtol=1e-4)


def test_without_tuning_the_usual_strength_stands(store: Path) -> None:
    record = train_head("ridge", store=store, tune=False).record
    assert record["settings"]["alpha"] == record["found"]["alpha"] == 1.0
    assert record["found"]["path"] == []


def test_without_refit_there_is_one_head(store: Path) -> None:
    run = train_head("lda", store=store, refit=False)
    assert run.record["selection_file"] == run.record["head_file"]
    assert not run.record["refit"]
    assert not list(run.folder.glob("selection*"))


@pytest.mark.slow
def test_several_heads_and_seeds_are_several_runs(store: Path) -> None:
    runs = train_heads(["logistic", "knn", "logistic"], seeds=2, settings={"neighbours": 3}, store=store)
    assert [(run.record["head"], run.record["seed"]) for run in runs] == [
        ("logistic", 0),
        ("logistic", 1),
        ("knn", 0),
        ("knn", 1),
    ]
    assert runs[2].record["settings"]["neighbours"] == 3
    with pytest.raises(UnsuitableSetting, match="belongs to dense"):
        train_heads(["logistic", "knn"], settings={"dropout": 0.5}, store=store)
    everything = train_heads(["all"], settings={"epochs": 2, "hidden": ()}, store=store)
    assert [run.record["head"] for run in everything] == list(HEADS)


@pytest.mark.parametrize(("options", "words"), [({"folds": 1}, "2 or more"), ({"folds": 99}, "fewer --folds")])
def test_folds_that_make_no_sense_are_refused(store: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidRequest, UnsuitableRows), match=words):
        train_head("logistic", store=store, **options)


@pytest.mark.slow
def test_without_validation_pictures_folds_of_training_choose(swift: str, photos: Path, tmp_path: Path) -> None:
    shares = Labelling(shares=(70, 0, 30))
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store", labelling=shares)
    run = train_head("logistic", store=tmp_path / "store")
    assert run.record["metrics"]["validation"]["images"] == run.record["metrics"]["train"]["images"]
    assert any("no validation pictures: c is chosen by 5 folds" in each for each in run.record["warnings"])
    assert train_head("centroid", store=tmp_path / "store").record["metrics"]["validation"]["accuracy"] is None
