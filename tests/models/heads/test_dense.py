"""The dense head: curves for every epoch, the best epoch's weights, standardisation inside the network."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import load_head
from demijohn.models.backend import import_keras
from demijohn.models.heads.dense import DenseHead
from demijohn.models.heads.tuning import ALIKE
from numpy.typing import NDArray

Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]
Split = tuple[NDArray[np.float32], NDArray[Any]]


@pytest.fixture(scope="module")
def hard(guard: None, blobs: Blobs) -> tuple[Split, Split]:
    """Return training and validation rows that overlap, so that a head overfits them."""
    options = {"classes": 3, "width": 20, "spread": 1.5}
    return blobs(60, seed=1, **options), blobs(90, seed=2, **options)


@pytest.fixture(scope="module")
def overfitted(hard: tuple[Split, Split]) -> DenseHead:
    """Return a head that went past its best epoch and was stopped."""
    head = DenseHead(hidden=(64,), dropout=0, learning_rate=0.02, epochs=60, patience=4, batch_size=16)
    return head.fit(*hard[0], validation=hard[1])


@pytest.fixture(scope="module")
def normed(hard: tuple[Split, Split]) -> DenseHead:
    """Return a head with dropout and batch normalisation."""
    return DenseHead(hidden=(5, 4), batch_norm=True, epochs=2).fit(*hard[0])


def judge(head: DenseHead, split: Split) -> tuple[float, float]:
    """Return log loss and accuracy."""
    probabilities = head.predict_proba(split[0])
    true = probabilities[np.arange(len(split[1])), np.searchsorted(head.classes_, split[1])]
    return float(-np.log(true).mean()), float((head.predict(split[0]) == split[1]).mean())


# Curves and early stopping.


def test_every_epoch_has_loss_and_accuracy_of_both_splits(overfitted: DenseHead) -> None:
    history = overfitted.history_
    assert [point["epoch"] for point in history] == list(range(1, len(history) + 1))
    for point in history:
        assert set(point) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
        assert all(isinstance(value, (int, float)) and np.isfinite(value) for value in point.values())
        assert 0 <= point["accuracy"] <= 1
        assert 0 <= point["val_accuracy"] <= 1
    assert history[-1]["loss"] < history[0]["loss"] / 2, "it learned"


def test_stopped_early_it_has_the_weights_of_the_best_epoch(overfitted: DenseHead, hard: tuple[Split, Split]) -> None:
    losses = [point["val_loss"] for point in overfitted.history_]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + overfitted.patience < overfitted.epochs, "it stopped, patience epochs later"
    assert overfitted.facts_ == {"epochs": len(losses), "best_epoch": best + 1}
    loss, accuracy = judge(overfitted, hard[1])
    assert loss == pytest.approx(min(losses), rel=1e-4)
    assert accuracy == pytest.approx(overfitted.history_[best]["val_accuracy"])
    assert losses[-1] > min(losses) * 1.05, "the last epoch's weights would show"
    assert overfitted.warnings_ == []


@pytest.mark.slow
def test_it_stops_where_every_epoch_gains_next_to_nothing(guard: None, blobs: Blobs) -> None:
    X, y = blobs(30, seed=1, classes=2, width=8, spread=0.1)
    head = DenseHead(hidden=(), learning_rate=0.02, epochs=200, patience=3).fit(X, y, validation=(X, y))
    losses = [point["val_loss"] for point in head.history_]
    assert np.all(np.diff(losses[-4:]) < 0), "the loss is falling still"
    assert len(losses) == head.facts_["best_epoch"] + 3 < 200
    assert losses[head.facts_["best_epoch"] - 1] - losses[-1] <= ALIKE
    assert head.warnings_ == []


@pytest.mark.slow
def test_out_of_epochs_it_has_the_weights_of_the_best_epoch_too(hard: tuple[Split, Split]) -> None:
    head = DenseHead(hidden=(64,), dropout=0, learning_rate=0.05, epochs=9, patience=50, batch_size=16)
    head.fit(*hard[0], validation=hard[1])
    losses = [point["val_loss"] for point in head.history_]
    assert len(losses) == 9
    assert np.argmin(losses) < 8
    assert judge(head, hard[1])[0] == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.slow
def test_a_head_that_still_improves_says_so(hard: tuple[Split, Split]) -> None:
    head = DenseHead(hidden=(), epochs=3, learning_rate=1e-4).fit(*hard[0], validation=hard[1])
    losses = [point["val_loss"] for point in head.history_]
    assert all(later < earlier for earlier, later in pairwise(losses))
    (warning,) = head.warnings_
    assert "still improving after 3 epochs" in warning
    assert "--epochs" in warning


def test_without_validation_rows_all_epochs_are_trained_with_a_warning(hard: tuple[Split, Split]) -> None:
    head = DenseHead(hidden=(8,), epochs=4, patience=1, learning_rate=1.0).fit(*hard[0])
    assert [set(point) for point in head.history_] == [{"epoch", "loss", "accuracy"}] * 4
    assert head.facts_ == {"epochs": 4, "best_epoch": 4}
    (warning,) = head.warnings_
    assert "no validation pictures" in warning


@pytest.mark.slow
def test_validation_rows_are_never_trained_on(hard: tuple[Split, Split]) -> None:
    train, (features, labels) = hard

    def curve(validation: Split | None) -> list[float]:
        head = DenseHead(hidden=(8,), batch_norm=True, epochs=3).fit(*train, validation=validation)
        return [point["loss"] for point in head.history_]

    plain = curve((features, labels))
    assert curve((features, (labels + 1) % 3)) == plain
    assert curve((features[:5] * 100, labels[:5])) == plain
    np.testing.assert_allclose(curve(None), plain, rtol=1e-6)


# The network.


def assert_layers(head: DenseHead, *expected: str) -> None:
    """Assert kinds, widths and shares of a network's layers."""
    layers = head.network_.layers[1:]
    assert [type(layer).__name__ for layer in layers] == [*expected]
    assert [layer.units for layer in layers if type(layer).__name__ == "Dense"] == [*head.hidden, 3]
    assert all(layer.rate == 0.5 for layer in layers if type(layer).__name__ == "Dropout")


def test_every_hidden_layer_has_batch_norm_and_dropout(normed: DenseHead) -> None:
    assert_layers(normed, "Normalization", *["Dense", "BatchNormalization", "ReLU", "Dropout"] * 2, "Dense")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"hidden": ()}, ["Normalization", "Dense"]),
        ({"hidden": (5,), "dropout": 0}, ["Normalization", "Dense", "ReLU", "Dense"]),
        ({"hidden": (5, 4)}, ["Normalization", *["Dense", "ReLU", "Dropout"] * 2, "Dense"]),
    ],
)
def test_layers_are_as_asked(hard: tuple[Split, Split], settings: dict[str, Any], expected: list[str]) -> None:
    assert_layers(DenseHead(epochs=1, **settings).fit(*hard[0]), *expected)


@pytest.mark.slow
def test_standardisation_is_inside_the_network(hard: tuple[Split, Split]) -> None:
    (X, y), (features, _) = hard
    head = DenseHead(hidden=(8,), epochs=2).fit(X, y)
    inside = import_keras().Model(head.network_.inputs[0], head.network_.get_layer("standardise").output)
    standard = np.asarray(inside(X))
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=1e-3)
    other = DenseHead(hidden=(8,), epochs=2).fit(X * 1024, y)
    np.testing.assert_allclose(other.predict_proba(features * 1024), head.predict_proba(features), atol=1e-4)


@pytest.mark.slow
def test_a_feature_that_is_nearly_always_zero_does_not_rule(hard: tuple[Split, Split]) -> None:
    X, y = hard[0][0].copy(), hard[0][1]
    X[:, 0] = 0
    X[0, 0] = 1e-3
    head = DenseHead(hidden=(), epochs=1).fit(X, y)
    far = X[:1].copy()
    far[0, 0] = 1
    inside = import_keras().Model(head.network_.inputs[0], head.network_.get_layer("standardise").output)
    assert np.abs(np.asarray(inside(far))).max() < 10


def test_dropout_and_batch_norm_rest_in_prediction(normed: DenseHead, hard: tuple[Split, Split]) -> None:
    features = hard[1][0]
    whole = normed.predict_proba(features)
    assert (normed.predict_proba(features) == whole).all()
    rows = np.concatenate([normed.predict_proba(features[index : index + 1]) for index in range(10)])
    np.testing.assert_allclose(rows, whole[:10], atol=1e-6)


def test_probabilities_are_sound_for_logits_of_any_size(overfitted: DenseHead, hard: tuple[Split, Split]) -> None:
    for factor in (0, 1e-6, 1e6):
        probabilities = overfitted.predict_proba(hard[1][0] * np.float32(factor))
        assert np.isfinite(probabilities).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)


def test_a_row_more_than_a_block_is_scored_like_the_others(normed: DenseHead, hard: tuple[Split, Split]) -> None:
    many = np.repeat(hard[1][0][:1], 5000, axis=0)
    alone = normed.predict_proba(many[:1])
    np.testing.assert_allclose(normed.predict_proba(many), np.repeat(alone, 5000, axis=0), atol=1e-6)


@pytest.mark.slow
def test_the_file_holds_the_network_and_no_optimiser(tmp_path: Path, hard: tuple[Split, Split]) -> None:
    head = DenseHead(hidden=(512, 512), epochs=1).fit(*hard[0])
    head.save(tmp_path / "head.keras")
    assert (tmp_path / "head.keras").stat().st_size < 1.3 * 4 * head.network_.count_params()
    np.testing.assert_allclose(
        load_head(tmp_path / "head.keras")(hard[1][0]), head.predict_proba(hard[1][0]), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)])
def test_the_seed_decides_everything_random(hard: tuple[Split, Split], seeds: tuple[int, int]) -> None:
    first, second = (DenseHead(hidden=(16,), epochs=3, seed=seed).fit(*hard[0], validation=hard[1]) for seed in seeds)
    same = first.predict_proba(hard[1][0]).tobytes() == second.predict_proba(hard[1][0]).tobytes()
    assert same == (seeds[0] == seeds[1])
    assert (first.history_ == second.history_) == same
