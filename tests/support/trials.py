"""Stores with features and runs that were made up, so that what a report should find in them is known."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.cache import SPLITS, Dataset, FeatureStore, Origin, Row
from demijohn.cache.files import write_json
from demijohn.cache.probe import Probe
from demijohn.cache.runs import FORMAT, Run, new_run, read_run, write_predictions
from demijohn.models.heads.heads import HEADS
from demijohn.pipeline.datasets.examples import choose_examples
from demijohn.pipeline.runs.inputs import Inputs
from demijohn.pipeline.training.ground import Ground
from numpy.typing import NDArray
from support.pictures import encode, picture
from support.rows import recipe


def make_store(
    folder: Path,
    *,
    classes: int = 3,
    images: Sequence[int] = (60, 40, 60),
    width: int = 12,
    apart: float = 3.0,
    group_size: int = 1,
    backbones: Sequence[str] = ("xception",),
    pictures: bool = False,
    seed: int = 0,
) -> FeatureStore:
    """Return a store with one data set, `made`, and features in which the classes lie so far apart.

    Parameters
    ----------
    images : (int, int, int)
        Pictures in train, validation and test, in turn of each class.
    apart : float
        Distance of the class means in standard deviations.
    group_size : int
        So many pictures of a split, one after the other, are one group.
    pictures : bool
        Write files of noise, too, into the folder `pictures`.
    """
    random = np.random.default_rng(seed)
    rows, labels = [], []
    for split, count in zip(SPLITS, images, strict=True):
        for number in range(count):
            label = number % classes
            group = f"{split}{number // (group_size * classes)}-{label}" if group_size > 1 else ""
            path = f"{split}/{label}/{number}.png"
            content = f"{seed} {split} {number}".encode()
            if pictures:
                content = encode(picture(random.integers(2**32)))
                (folder / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "pictures" / path).write_bytes(content)
            key = hashlib.sha256(content).digest()
            rows.append(Row(path, key, f"class {label}", split, group))
            labels.append(label)
    store = FeatureStore(folder)
    store.save_dataset(Dataset("made", Origin((folder / "pictures").resolve(), 0), "made up", tuple(rows)))
    for backbone in backbones:
        features = store.feature_set(recipe(backbone))
        features.begin({"batch_size": 1}, Probe({"picture": np.zeros(width, np.float32)}))
        means = np.zeros((classes, width), np.float32)
        means[np.arange(classes), np.arange(classes) % width] = apart / np.sqrt(2)
        X = (random.standard_normal((len(rows), width)) + means[labels]).astype(np.float32)
        features.commit([row.key for row in rows], X)
    return store


def find_ground(store: FeatureStore, backbone: str = "xception") -> Ground:
    """Return the ground of the made data set."""
    inputs = Inputs(((store.feature_set(recipe(backbone)),),), dataset="made")
    return Ground.of(inputs, choose_examples(store.find_dataset("made"), inputs.keys, store))


def predict(ground: Ground, accuracy: float, *, seed: int) -> NDArray[np.float64]:
    """Return probabilities (n, c) that are right with some chance, picture by picture."""
    random = np.random.default_rng(seed)
    count, classes = len(ground.labels), len(ground.examples.classes)
    wrong = (ground.labels + random.integers(1, classes, count)) % classes
    said = np.where(random.random(count) < accuracy, ground.labels, wrong)
    scores = random.random((count, classes)) * 0.2
    scores[np.arange(count), said] = 1.0
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def add_run(
    store: FeatureStore,
    name: str,
    scores: NDArray[np.float64],
    ground: Ground,
    *,
    head: str = "ridge",
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    found: dict[str, Any] | None = None,
    **about: Any,
) -> Run:
    """Write a run that said these scores, and return it."""
    predictions = ground.predictions(scores, are_probabilities=True)
    record = HEADS[head]
    source = ground.inputs
    parts = {split: ground.where(split) for split in SPLITS}
    metrics = {split: ground.evaluate(part, scores[part], are_probabilities=True) for split, part in parts.items()}
    value = {
        "format": FORMAT,
        "run": name,
        "backbone": source.backbone,
        "inputs": source.label,
        "head": head,
        "dataset": "made",
        "settings": record.complete(settings or {}),
        "seed": seed,
        "metrics": metrics,
        "found": found or {},
        "folds": None,
        "refit": False,
        "temperature": None,
        "warnings": [],
        "classes": list(ground.examples.classes),
        "features_digest": source.digest,
        "views": 1,
        "augment": "none",
        "tta": False,
        "dataset_digest": "",
        "examples_digest": ground.digest,
        "seconds": 1.0,
        "request": {"folds": None, "refit": False, "calibrated": False},
        "head_file": f"head{record.estimator().suffix}",  # type: ignore[attr-defined]
        "selection_file": f"head{record.estimator().suffix}",  # type: ignore[attr-defined]
        "head_bytes": 1000,
        "head_milliseconds": 0.01,
        **about,
    }
    folder = store.run_folder(name)
    with new_run(folder) as temporary:
        write_predictions(temporary / "predictions.h5", predictions)
        write_json(temporary / "run.json", value)
    return read_run(folder)


def redate(run: Run, **changes: Any) -> Run:
    """Return a run whose run.json says something else."""
    record = {**run.record, **changes}
    (run.folder / "run.json").unlink()
    write_json(run.folder / "run.json", record)
    return replace(run, record=record)
