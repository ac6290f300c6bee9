"""Stage three: the last layers of a backbone, or all of them, are trained further, from a trained head on.

The network begins as what the head says of cached features, which is asserted before the first step. Where
nothing is drawn anew in each epoch, the maps at the input of the unfrozen part are extracted once and kept, and
only what is behind them is computed. What comes out is a run like any other, with its parent's name.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.features import FeatureSet
from ...cache.files import write_json
from ...cache.runs import FORMAT, Predictions, Run, new_run, read_run, run_id, write_history, write_predictions
from ...cache.store import FeatureStore
from ...cache.table import SPLITS
from ...models.heads.heads import open_head
from ...models.networks.descent import Descent, Samples, begin
from ...models.networks.distortion import build_distortion
from ...models.networks.folding import softmax
from ...models.networks.network import add_preprocessing, build_core, build_stem, run_network
from ...models.networks.unfreezing import Unfrozen, check_moves, copy_weights, unfreeze
from ..extraction.frozen import FrozenBackbone
from ..extraction.reopening import find_network
from ..pictures.images import quiet_decoders
from ..progress import SILENT, Progress
from ..provenance import describe_environment
from ..runs.choosing import BEST, find_earlier
from ..runs.tuning import FINE_TUNED, Tuning
from .epochs import Course, Splits, measure, run_epochs
from .material import fits_into_memory, make_maps, maps_of, pixels_of
from .parents import Parent, check_agreement, find_parent
from .worth import judge_worth

NETWORK = "network.keras"
_ASSERTED, _LOOKED_AT = 256, 16
"""How many pictures the start is asserted on where there are none of validation, and the end on."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network that is about to be trained."""

    frozen: FrozenBackbone
    core: Any
    """From preprocessed pixels; see `build_core`."""
    unfrozen: Unfrozen
    backbone: list[Any]
    """Variables that are trained and are not the head's."""
    strategy: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the top takes of one picture."""
        return tuple(self.unfrozen.top.input_shape[1:])


def fine_tune(
    run: str = BEST,
    *,
    tuning: Tuning = Tuning(),  # noqa: B008 - frozen
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Progress = SILENT,
) -> Run:
    """Train the last layers of a run's backbone with its head, and return the new run; after a kill it goes on.

    Parameters
    ----------
    run : str
        The id of a run, its beginning, or `best`.
    tuning : Tuning
    store : path
        Folder that keeps everything.
    results : path, optional
        Folder of the runs, where the store is read-only.
    dataset : str, optional
        Whose best run; needed only where the store holds several.
    seed : int
        Of everything random.
    force : bool
        Train again even if the run is there, and from the start.
    progress : Progress

    Raises
    ------
    UnknownRun, UnknownFeatures, UnknownLayer, UnsuitableSetting
        What was asked for is not there, or not possible; the message says what is.
    InvalidRequest
        The run cannot be fine-tuned, or is of an earlier state of the data set.
    OtherNumbers
        The network does not say what the head says of its features.
    UnreadableImage
        A picture has gone or changed.
    StoreNotWritable
        The folder for the run cannot be written.
    ModelError
        Training diverged, or did not change what it should have.
    """
    kept = FeatureStore(store, results)
    parent = find_parent(kept, run, dataset=dataset, progress=progress)
    inputs = {
        "format": FORMAT,
        "head": FINE_TUNED,
        "parent": parent.run.id,
        "settings": tuning.to_json(),
        "seed": seed,
        "examples": parent.sight.examples.digest,
    }
    identity = run_id(FINE_TUNED, parent.features.recipe.backbone, inputs)
    existing = find_earlier(kept, identity, progress=progress)
    if existing is not None and not force:
        progress.say(f"{identity}: fine-tuned before, nothing to do (--force does it again)")
        return existing
    kept.check_writable("runs")
    if force:
        kept.checkpoint(identity).unlink(missing_ok=True)
    started = time.monotonic()
    network = _build(kept, parent, tuning, seed)
    maps = _choose_maps(kept, parent, network, tuning, progress)
    with _find_material(parent, network, maps) as material:
        descent = _prepare(network, tuning, parent, on_maps=maps is not None)
        start = _check_start(descent, material, parent, tuning)
        before = copy_weights(network.core)
        course = run_epochs(
            descent,
            material,
            _split(parent),
            tuning,
            start=start,
            kept=kept.checkpoint(identity),
            seed=seed,
            progress=progress,
        )
        check_moves(network.core, before)
        descent.set_weights(course.best)
        scores = softmax(descent.judge(material, np.arange(len(material.labels)), tuning.batch_size))
    about = _describe(identity, parent, network, tuning, seed, course, scores, maps)
    about["seconds"] = round(time.monotonic() - started + course.earlier, 3)
    predictions = parent.ground.predictions(scores, are_probabilities=True)
    worth = judge_worth(identity, predictions, parent.run, seconds=about["seconds"], groups=parent.ground.groups)
    about["worth"] = None if worth is None else worth.to_json()
    finished = _write_run(kept.run_folder(identity), about, parent, network, course, predictions)
    kept.checkpoint(identity).unlink(missing_ok=True)
    for warning in about["warnings"]:
        progress.warn(warning)
    return finished


def _build(store: FeatureStore, parent: Parent, tuning: Tuning, seed: int) -> Network:
    frozen = find_network(store, parent.features, parent.request)
    strategy = begin(seed)
    with strategy.scope():
        extractor = frozen.load()
        core = build_core(frozen.backbone, extractor, parent.head, tap=parent.tap)
        unfrozen = unfreeze(core, extractor, tuning.unfreeze, tap=parent.tap, train_batch_norm=tuning.train_batch_norm)
    own = {id(variable) for variable in extractor.variables}
    backbone = [variable for variable in unfrozen.top.trainable_variables if id(variable) in own]
    return Network(frozen, core, unfrozen, backbone, strategy)


def _choose_maps(
    store: FeatureStore, parent: Parent, network: Network, tuning: Tuning, progress: Progress
) -> FeatureSet | None:
    """Return the stored maps that the top is trained on, or None where pictures pass through the whole network."""
    tap, count = network.unfrozen.tap, len(network.unfrozen.layers)
    trained = f"the head and {count} layers" if count else "the head"
    if tap is None:
        progress.say(f"training {trained}, the whole network, on the pictures")
        return None
    if tuning.distortions:
        progress.say(f"training {trained} on the pictures, since --augment makes other ones in each epoch")
        return None
    if not fits_into_memory(parent.sight.examples, network.shape):
        progress.say(f"training {trained} on the pictures, since the maps at {tap.layer} do not fit into memory")
        return None
    if tap == parent.tap:
        progress.say(f"training {trained} on the features that are there")
        return parent.features
    progress.say(f"training {trained} on cached maps of {tap.layer}: what is in front of them is frozen")
    return make_maps(store, network.frozen, parent.sight, tap, network.shape, parent.request)


def _find_material(parent: Parent, network: Network, maps: FeatureSet | None) -> AbstractContextManager[Samples]:
    """Give what is trained on: cached maps, or else the pictures."""
    if maps is None:
        return pixels_of(parent.sight, parent.weights)
    return nullcontext(maps_of(maps, parent.sight, network.shape, parent.weights))


def _prepare(network: Network, tuning: Tuning, parent: Parent, *, on_maps: bool) -> Descent:
    with network.strategy.scope():
        stem = None if on_maps else build_stem(network.frozen.backbone, network.core, network.unfrozen.trunk)
        names = tuning.distortions
        distortion = build_distortion(names, parent.features.recipe.input_size) if names else None
    batches = -(-len(_split(parent).train) // tuning.batch_size)
    return Descent(
        stem,
        network.unfrozen.top,
        network.backbone,
        distortion=distortion,
        pace=tuning.pace,
        steps=tuning.epochs * batches,
        strategy=network.strategy,
    )


def _split(parent: Parent) -> Splits:
    splits = parent.sight.examples.splits
    return Splits(np.flatnonzero(splits == 0), np.flatnonzero(splits == 1))


def _check_start(descent: Descent, material: Samples, parent: Parent, tuning: Tuning) -> dict[str, float]:
    """See that the network begins as the cached head, and return epoch 0."""
    rows = _split(parent)
    asserted = rows.validation if len(rows.validation) else rows.train[:_ASSERTED]
    found = softmax(descent.judge(material, asserted, tuning.batch_size))
    check_agreement(
        found,
        parent.probabilities(asserted),
        f"before the first step the network does not say what the head of {parent.run.id} says of its features: "
        f"run {parent.features.command()} --new, and train the head again",
    )
    labels, weights = material.labels, material.weights
    point = {"epoch": 0.0, **measure(parent.probabilities(rows.train), labels[rows.train], weights[rows.train])}
    if len(rows.validation):
        point |= measure(found, labels[rows.validation], weights[rows.validation], "val_")
    return point


def _describe(
    identity: str,
    parent: Parent,
    network: Network,
    tuning: Tuning,
    seed: int,
    course: Course,
    scores: NDArray[np.float64],
    maps: FeatureSet | None,
) -> dict[str, Any]:
    ground, record = parent.ground, parent.run.record
    parts = {split: ground.where(split) for split in SPLITS}
    metrics = {split: ground.evaluate(part, scores[part], are_probabilities=True) for split, part in parts.items()}
    return {
        "run": identity,
        "parent": parent.run.id,
        "backbone": record["backbone"],
        "inputs": record["inputs"],
        "head": FINE_TUNED,
        "dataset": record["dataset"],
        "settings": tuning.to_json(),
        "seed": seed,
        "metrics": metrics,
        "found": {
            "epochs": course.epoch,
            "best_epoch": course.best_epoch,
            "unfrozen": list(network.unfrozen.layers),
            "maps": None if maps is None else maps.digest,
            "replicas": network.strategy.num_replicas_in_sync,
            "epoch_seconds": round(float(np.median(course.seconds)), 3),
        },
        "warnings": [*ground.examples.warnings, *_warnings(course, tuning, ground.splits)],
        "classes": list(ground.examples.classes),
        "features_digest": record["features_digest"],
        "views": 1,
        "augment": "none",
        "tta": False,
        "folds": None,
        "refit": False,
        "temperature": None,
        "request": {"folds": None, "refit": False, "calibrated": False},
        "dataset_digest": parent.sight.table.digest,
        "examples_digest": ground.digest,
    }


def _warnings(course: Course, tuning: Tuning, splits: NDArray[np.uint8]) -> list[str]:
    if not (splits == 1).any():
        return [f"no validation pictures to stop early with: all {tuning.epochs} epochs are trained"]
    if course.best_epoch == 0:
        return ["no epoch was better on validation than the head that it started from: the network is as it began"]
    if course.best_epoch == tuning.epochs:
        return [f"training was still improving after {tuning.epochs} epochs: try more with --epochs"]
    return []


def _write_run(
    folder: Path, about: dict[str, Any], parent: Parent, network: Network, course: Course, predictions: Predictions
) -> Run:
    with new_run(folder) as temporary:
        file = temporary / NETWORK
        add_preprocessing(network.frozen.backbone, network.core).save(file)
        _check_end(file, parent, predictions.scores)
        write_predictions(temporary / "predictions.h5", predictions)
        write_history(temporary / "history.csv", course.history)
        files = {"head_file": NETWORK, "selection_file": NETWORK, "head_bytes": file.stat().st_size}
        write_json(temporary / "run.json", {"format": FORMAT, **about, **files, **describe_environment()})
    return read_run(folder)


def _check_end(file: Path, parent: Parent, scores: NDArray[np.float32]) -> None:
    """See that the file gives of some pictures what was judged, from their pixels on."""
    some = np.linspace(0, len(scores) - 1, min(_LOOKED_AT, len(scores))).astype(int)
    with quiet_decoders(parent.sight.policy):
        pixels = np.stack([parent.sight.read(parent.sight.examples.rows[row]) for row in some])
    check_agreement(
        softmax(run_network(open_head(file), pixels)),
        scores[some],
        "the network that was saved does not say of the pictures what was trained: try again with --force",
    )
