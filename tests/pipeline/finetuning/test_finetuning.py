"""Fine-tuning begins as the cached head, trains what it was asked to, and goes on after a kill with the same curve."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureStore, Run, UnknownRun
from demijohn.cache.part import keys_from_array
from demijohn.models import UnknownLayer, UnsuitableSetting
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.models.heads.heads import open_head
from demijohn.models.networks.network import run_network
from demijohn.pipeline import (
    InvalidRequest,
    OtherNumbers,
    Tuning,
    UnreadableImage,
    extract_features,
    fine_tune,
    report_heads,
    train_head,
)
from demijohn.pipeline.finetuning import finetuning as module
from demijohn.pipeline.pictures.images import decode_image
from demijohn.pipeline.statistics.evaluation import evaluate
from PIL import Image
from support.pictures import encode
from support.standin import TWOFOLD

STANDIN = Path(__file__).parents[2] / "support" / "standin.py"
FAST = {"learning_rate": 0.01, "head_learning_rate": 0.01, "batch_size": 16}


def stripes(seed: int, *, upright: bool) -> Image.Image:
    """Return noisy stripes that stand or lie; a random network's mean colour hardly tells them apart."""
    random = np.random.default_rng(seed)
    wave = 40 * np.sin(np.arange(24) * 1.6 + random.uniform(0, 6))
    plane = np.broadcast_to(wave if upright else wave[:, None], (24, 24))
    noisy = 128 + plane[..., None] + random.normal(0, 45, (24, 24, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with pictures and a store of their features and a head; the backbone is registered."""
    root = tmp_path_factory.mktemp("finetuning")
    for upright in (True, False):
        folder = root / "photos" / ("standing" if upright else "lying")
        folder.mkdir(parents=True)
        for number in range(40):
            image = stripes(number + 1000 * upright, upright=upright)
            (folder / f"{number:02d}.png").write_bytes(encode(image))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TWOFOLD.name, TWOFOLD)
        extract_features(
            root / "photos", backbone=TWOFOLD.name, weights="random:3", store=root / "store", engine="tensorflow"
        )
        train_head("logistic", store=root / "store", settings={"c": 0.01})
        yield root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """Return a store of one's own, with features and a head."""
    return Path(shutil.copytree(made / "store", tmp_path / "store"))


def tune(store: Path, unfreeze: str, **settings: Any) -> Run:
    return fine_tune(store=store, tuning=Tuning(unfreeze=unfreeze, **{"epochs": 2, **FAST, **settings}))


def weights_of(run: Run) -> dict[str, np.ndarray]:
    core = open_head(run.folder / "network.keras").get_layer("core")
    return {variable.path.removeprefix("core/"): np.asarray(variable).copy() for variable in core.variables}


@pytest.mark.slow
def test_the_run_is_like_any_other(store: Path, made: Path) -> None:
    run = tune(store, "all", epochs=12, patience=12)
    record, parent = run.record, FeatureStore(store).find_run(run.record["parent"])
    assert parent is not None
    assert record["head"] == "fine-tuned"
    assert record["head_file"] == record["selection_file"] == "network.keras"
    assert list(run.history) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert run.history["epoch"] == list(range(13))
    assert min(run.history["val_loss"]) < 0.7 * run.history["val_loss"][0], "it learns more than the head could"
    assert np.argmin(run.history["val_loss"]) == record["found"]["best_epoch"]
    validation = record["metrics"]["validation"]
    best = record["found"]["best_epoch"]
    assert validation["log_loss"] == pytest.approx(run.history["val_loss"][best], rel=1e-4), "the best is restored"
    assert validation["log_loss"] < parent.record["metrics"]["validation"]["log_loss"]
    # Predictions are those of the saved network on the files.
    predictions, table = run.predictions, FeatureStore(store).find_dataset()
    paths = {row.key: made / "photos" / row.path for row in table.rows}
    network = open_head(run.folder / "network.keras")
    files = [paths[key] for key in keys_from_array(predictions.keys)]
    pixels = [decode_image(file.read_bytes(), (16, 16), "squash-bilinear") for file in files]
    logits = run_network(network, np.stack(pixels)).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, predictions.scores, atol=1e-4)
    assert not list((store / "checkpoints").glob("*.h5"))
    report = report_heads(store=store)
    assert {each.id for each in report.runs} == {run.id, parent.id}
    assert fine_tune(parent.id, store=store, tuning=Tuning(unfreeze="all", epochs=12, patience=12, **FAST)).id == run.id


@pytest.mark.slow
def test_epoch_0_is_the_cached_head(store: Path) -> None:
    run = tune(store, "block2", epochs=1)
    parent = FeatureStore(store).find_run(run.record["parent"])
    assert parent is not None
    assert parent.record["refit"]
    metrics = parent.record["metrics"]["validation"]
    assert run.history["val_loss"][0] == pytest.approx(metrics["log_loss"], rel=1e-3)
    assert run.history["val_accuracy"][0] == pytest.approx(metrics["accuracy"])


@pytest.mark.slow
def test_a_network_that_says_something_else_is_refused_before_the_first_step(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = module.build_core

    def broken(*args: Any, **kwargs: Any) -> Any:
        core = build(*args, **kwargs)
        core.get_layer("block2_conv").bias.assign_add(np.full(8, 2.0))
        return core

    monkeypatch.setattr(module, "build_core", broken)
    monkeypatch.setattr(module, "run_epochs", lambda *_args, **_kwargs: pytest.fail("a step was made"))
    with pytest.raises(
        OtherNumbers, match=r"before the first step .* differ by .* expected at most 0.005; run extract"
    ):
        tune(store, "block2")


@pytest.mark.parametrize("train_batch_norm", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_is_frozen_stays_and_the_rest_moves(store: Path, train_batch_norm: bool) -> None:
    # An epoch is never better at such a rate by chance alone, so the last one may be restored to the first.
    before = weights_of(tune(store, "0", epochs=1))
    run = tune(store, "block2", epochs=6, patience=6, train_batch_norm=train_batch_norm)
    assert run.record["found"]["best_epoch"] > 0
    after = weights_of(run)
    moved = {name for name, array in after.items() if not np.array_equal(array, before[name])}
    assert not {name for name in moved if name.startswith(("conv", "bn"))}
    assert {"block2_conv/kernel", "classifier_logits/kernel"} <= moved
    statistics = {"block2_bn/moving_mean", "block2_bn/moving_variance", "block2_bn/gamma", "block2_bn/beta"}
    assert statistics & moved == (statistics if train_batch_norm else set())


@pytest.mark.slow
def test_cached_maps_give_what_the_whole_network_gives(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tune(store, "block2", epochs=3)
    maps = {each.recipe.layer: each for each in FeatureStore(store).feature_sets()}["relu"]
    assert cached.record["found"]["maps"] == maps.digest
    assert maps.recipe.pooling == "none"
    assert len(maps.keys()) == 80
    # A head takes them only where they are named.
    assert FeatureStore(store).find_feature_set().recipe.layer == "last"
    monkeypatch.setattr(module, "fits_into_memory", lambda *_: False)
    other = fine_tune(
        cached.record["parent"], store=store, tuning=Tuning(unfreeze="block2", epochs=3, **FAST), force=True
    )
    assert other.record["found"]["maps"] is None
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(cached.history[column], other.history[column], rtol=1e-3)
    np.testing.assert_allclose(cached.predictions.scores, other.predictions.scores, atol=1e-3)


@pytest.mark.slow
def test_maps_are_extracted_once_and_features_serve_the_head_alone(
    store: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = tune(store, "0", epochs=1)
    assert head.record["found"]["maps"] == head.record["features_digest"]
    tune(store, "block2", epochs=1)
    from demijohn.models.engines.engine import Engine

    monkeypatch.setattr(Engine, "extract", lambda *_: pytest.fail("a picture was extracted again"))
    tune(store, "block2", epochs=1, learning_rate=0.02)


@pytest.mark.slow
def test_distortion_passes_pictures_through_the_network(store: Path) -> None:
    run = tune(store, "block2", augment="flip,zoom,brightness")
    assert run.record["found"]["maps"] is None
    plain = tune(store, "block2")
    assert run.history["loss"][0] == plain.history["loss"][0]
    assert run.history["loss"][1] != pytest.approx(plain.history["loss"][1], rel=1e-3)


@pytest.mark.slow
def test_it_stops_early_and_keeps_the_best(store: Path) -> None:
    run = tune(store, "all", epochs=20, patience=1, learning_rate=0.5, head_learning_rate=0.5)
    best = run.record["found"]["best_epoch"]
    assert run.record["found"]["epochs"] == best + 1 < 20
    if best == 0:
        assert any("no epoch was better" in warning for warning in run.record["warnings"])
    assert run.record["metrics"]["validation"]["log_loss"] == pytest.approx(run.history["val_loss"][best], rel=1e-4)


@pytest.mark.slow
def test_divergence_is_told(store: Path) -> None:
    with pytest.raises(UnsuitableSetting, match=r"diverged in epoch 1 .* smaller --learning-rate"):
        tune(store, "all", learning_rate=1e30, head_learning_rate=1e30, weight_decay=0.0)
    assert not list((store / "checkpoints").glob("*.h5"))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["dense", "ridge", "svm", "lda", "centroid"])
def test_it_starts_from_any_head_that_has_a_gradient(store: Path, head: str) -> None:
    settings = {"dense": {"hidden": (8,), "batch_norm": True, "epochs": 3}}.get(head, {})
    parent = train_head(head, store=store, settings=settings)
    run = fine_tune(parent.id, store=store, tuning=Tuning(unfreeze="block2", epochs=1, **FAST))
    assert run.record["parent"] == parent.id


@pytest.mark.parametrize(("head", "settings"), [("svm", {"kernel": "rbf"}), ("knn", {})])
def test_heads_without_a_gradient_are_refused_in_a_line(store: Path, head: str, settings: dict[str, Any]) -> None:
    parent = train_head(head, store=store, settings=settings)
    with pytest.raises(UnsuitableSetting) as caught:
        fine_tune(parent.id, store=store)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_told(store: Path) -> None:
    with pytest.raises(UnknownLayer, match="'block3'"):
        tune(store, "block3")
    with pytest.raises(UnknownRun, match="no run nothing"):
        fine_tune("nothing", store=store)
    with pytest.raises(UnsuitableSetting, match="'swirl'"):
        Tuning(augment="swirl")
    with pytest.raises(UnsuitableSetting, match="epochs is 0: expected 1"):
        Tuning(epochs=0)
    run = tune(store, "0", epochs=1)
    with pytest.raises(InvalidRequest, match=f"fine-tuned already.*--run {run.record['parent']}"):
        fine_tune(run.id, store=store)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["changed", pytest.param("gone", marks=pytest.mark.slow)])
def test_pictures_that_have_changed_or_gone_are_told(made: Path, tmp_path: Path, fault: str) -> None:
    photos = Path(shutil.copytree(made / "photos", tmp_path / "photos"))
    store = tmp_path / "store"
    extract_features(photos, backbone=TWOFOLD.name, weights="random:3", store=store, engine="tensorflow")
    train_head("logistic", store=store)
    victim = photos / "lying" / "03.png"
    victim.unlink()
    if fault == "changed":
        victim.write_bytes(encode(stripes(5000, upright=True)))
    for unfreeze in ("all", "block2"):
        with pytest.raises(UnreadableImage, match=r"03\.png.*run extract-features and train-head again"):
            tune(store, unfreeze)


@pytest.mark.slow
def test_an_outdated_run_is_refused(made: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(made / "photos", tmp_path / "photos"))
    store = tmp_path / "store"
    extract_features(photos, backbone=TWOFOLD.name, weights="random:3", store=store, engine="tensorflow")
    parent = train_head("logistic", store=store)
    (photos / "lying" / "new.png").write_bytes(encode(stripes(5000, upright=False)))
    extract_features(photos, backbone=TWOFOLD.name, weights="random:3", store=store)
    with pytest.raises(InvalidRequest, match=r"earlier state .* train its head again with train-head"):
        fine_tune(parent.id, store=store)


def interrupt_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have training interrupted when an epoch has been kept; return what takes that back."""
    from demijohn.pipeline.finetuning import epochs

    keep = epochs._keep

    def keeping(descent: Any, course: Any, kept: Path) -> None:
        keep(descent, course, kept)
        if course.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(epochs, "_keep", keeping)
    return lambda: monkeypatch.setattr(epochs, "_keep", keep)


@pytest.mark.slow
@pytest.mark.parametrize("augment", [pytest.param("none", marks=pytest.mark.slow), "flip,rotation"])
def test_after_an_interruption_the_curve_is_the_same(
    store: Path, augment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = train_head("dense", store=store, settings={"hidden": (8,), "dropout": 0.5, "epochs": 3})
    tuning = Tuning(unfreeze="block2", augment=augment, epochs=4, **FAST)
    whole = fine_tune(dense.id, store=store, tuning=tuning)
    shutil.rmtree(whole.folder)
    undo = interrupt_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(dense.id, store=store, tuning=tuning)
    undo()
    assert len(list((store / "checkpoints").glob("*.h5"))) == 1
    again = fine_tune(dense.id, store=store, tuning=tuning)
    assert again.id == whole.id
    for column, values in whole.history.items():
        np.testing.assert_allclose(again.history[column], values, rtol=1e-4, err_msg=column)
    np.testing.assert_allclose(again.predictions.scores, whole.predictions.scores, atol=1e-4)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_force_begins_anew(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undo = interrupt_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        tune(store, "block2")
    undo()
    [kept] = (store / "checkpoints").glob("*.h5")
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(DamagedFile, match="begins anew"):
        tune(store, "block2")
    fine_tune(store=store, tuning=Tuning(unfreeze="block2", epochs=2, **FAST), force=True)
    assert not kept.exists()


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on(store: Path) -> None:
    settings = ["--unfreeze", "block2", "--epochs", "30", "--patience", "30", "--learning-rate", "0.001"]
    command = [sys.executable, str(STANDIN), "fine-tune", "--store", str(store), *settings]
    process = subprocess.Popen([*command, "--json"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 3:"):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert "going on after epoch" in done.stderr
    resumed = json.loads(done.stdout)
    whole = json.loads(subprocess.run([*command, "--json", "--force"], capture_output=True, check=True).stdout)
    assert resumed["run"] == whole["run"]
    assert resumed["found"]["best_epoch"] == whole["found"]["best_epoch"]
    for split in ("train", "validation", "test"):
        assert resumed["metrics"][split]["log_loss"] == pytest.approx(whole["metrics"][split]["log_loss"], rel=1e-3)
    assert resumed["worth"]["sentence"].startswith("fine-tuning ")


@pytest.mark.slow
def test_intervals_know_of_groups_as_those_of_heads_do(store: Path) -> None:
    kept = FeatureStore(store)
    table = kept.find_dataset()
    rows = tuple(replace(row, group=f"{row.split} {number // 8}") for number, row in enumerate(table.rows))
    kept.save_dataset(replace(table, rows=rows))
    groups = {row.key: row.group for row in rows}
    run = tune(store, "0", epochs=1)
    predictions = run.predictions
    part = predictions.splits == 1
    grouped = [groups[key] for key in keys_from_array(predictions.keys[part])]
    expected = evaluate(
        predictions.labels[part],
        predictions.scores[part].astype(np.float64),
        are_probabilities=True,
        groups=np.unique(grouped, return_inverse=True)[1],
    )
    assert run.record["metrics"]["validation"]["accuracy_interval"] == expected["accuracy_interval"]
