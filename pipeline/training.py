"""Stage two: a head is trained on stored features; the pictures are not needed any more.

The training split is learned from, the validation split chooses (settings, when to stop), and the
test split is touched once, at the end.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.files import write_bytes, write_json
from ..cache.part import keys_to_array
from ..cache.runs import FORMAT, Predictions, Run, new_run, read_run, run_id, write_predictions
from ..cache.store import FeatureStore
from ..cache.table import SPLITS
from ..models.estimator import Head
from ..models.heads import find_head, scores_of
from .errors import InvalidRequest
from .evaluation import evaluate
from .examples import choose_examples
from .inputs import JOINT, choose_inputs, extraction_command
from .progress import SILENT, Progress
from .provenance import describe_environment


def train_head(
    head: str = "logistic",
    *,
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    features: str | None = None,
    views: int | None = None,
    augment: str | None = None,
    tta: bool = False,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Progress = SILENT,
) -> Run:
    """Train one head on stored features and return the run; a run that is there is returned as it is.

    Parameters
    ----------
    head : str
        A name of `HEADS`.
    store : path
        Folder that keeps everything.
    results : path, optional
        Folder for the run, where the store is read-only.
    dataset, backbone, features : str, optional
        Name of the data set, name of the backbone, first digits of the feature set's digest; each
        is needed only where the store holds several. Backbones joined by a plus sign, `a+b`, are
        trained on side by side.
    views : int, optional
        Versions of each training picture, itself included; by default all that the store holds.
    augment : str, optional
        Which views, where the store holds several kinds.
    tta : bool
        Judge every picture by the mean of the scores of all its views (test-time augmentation).
    settings : dict, optional
        Settings of the head, such as `{"hidden": (256, 128)}`; its defaults stand for the rest.
    seed : int
        Of everything random in training.
    force : bool
        Train again even if the run is there.

    Raises
    ------
    UnknownDataset, UnknownFeatures, MissingFeatures, UnknownHead, UnsuitableSetting
        What was asked for is not there; the message says what is.
    NotTrainable
        Fewer than two classes have training pictures.
    """
    kept = FeatureStore(store, results)
    record = find_head(head)
    complete = record.complete(settings or {})
    table = kept.find_dataset(dataset)
    source = choose_inputs(kept, backbone, features, views=views, augment=augment, dataset=table.name)
    if tta and len(source.views) == 1:
        command = extraction_command(source.sets[0], table.name, views=8, every=True)
        raise InvalidRequest(f"--tta needs further views of every picture: run {command} first")
    examples = choose_examples(table, source.keys, kept)
    inputs = {
        "format": FORMAT,
        "head": head,
        "settings": complete,
        "seed": seed,
        "dataset": table.name,
        "features": source.digest,
        "views": [JOINT.join(each.digest for each in sets) for sets in source.views[1:]],
        "tta": tta,
        "examples": examples.digest,
    }
    identity = run_id(head, source.backbone, inputs)
    folder = kept.run_folder(identity)
    existing = kept.find_run(identity)
    if existing is not None and not force:
        progress.say(f"{identity}: trained before, nothing to do (--force trains it again)")
        return existing

    labels, splits = examples.labels, examples.splits
    keys = [row.key for row in examples.rows]
    X = source.read(keys)
    source.note_use()
    bounds = np.searchsorted(splits, np.arange(len(SPLITS) + 1))
    parts = [slice(start, stop) for start, stop in pairwise(bounds)]
    train, validation, _ = parts
    held_out = (X[validation], labels[validation]) if bounds[1] < bounds[2] else None
    further = [source.read(keys[train], view) for view in range(1, len(source.views))]
    learned = np.concatenate([X[train], *further]) if further else X[train]
    repeated = np.tile(labels[train], len(source.views))
    started = time.monotonic()
    trained = record.make(complete, seed=seed).fit(learned, repeated, validation=held_out)
    seconds = time.monotonic() - started
    scores, are_probabilities = scores_of(trained, X)
    if tta:
        others = [scores_of(trained, source.read(keys, view))[0] for view in range(1, len(source.views))]
        scores = np.mean([scores, *others], axis=0)
    metrics = {
        split: evaluate(labels[part], scores[part], are_probabilities=are_probabilities)
        for split, part in zip(SPLITS, parts, strict=True)
    }
    predictions = Predictions(
        keys=keys_to_array([row.key for row in examples.rows]),
        labels=labels,
        splits=splits,
        predicted=scores.argmax(axis=1).astype(np.int32),
        scores=scores.astype(np.float32),
        are_probabilities=are_probabilities,
    )
    about = {
        "run": identity,
        "backbone": source.backbone,
        "inputs": source.label,
        "head": head,
        "dataset": table.name,
        "settings": complete,
        "seed": seed,
        "metrics": metrics,
        "found": trained.facts_,
        "warnings": [*source.notes, *examples.warnings, *trained.warnings_],
        "classes": list(examples.classes),
        "features_digest": source.digest,
        "views": len(source.views),
        "augment": source.views[-1][0].recipe.augment,
        "tta": tta,
        "dataset_digest": table.digest,
        "examples_digest": examples.digest,
        "seconds": round(seconds, 3),
    }
    return _write_run(folder, about, trained, predictions, progress)


def _write_run(folder: Path, about: dict[str, Any], trained: Head, predictions: Predictions, progress: Progress) -> Run:
    with new_run(folder) as temporary:
        head = temporary / f"head{trained.suffix}"
        trained.save(head)
        write_predictions(temporary / "predictions.h5", predictions)
        if trained.history_:
            write_bytes(temporary / "history.csv", _history(trained.history_).encode())
        write_json(
            temporary / "run.json",
            {
                "format": FORMAT,
                **about,
                "head_file": head.name,
                "head_bytes": head.stat().st_size,
                **describe_environment(),
            },
        )
    progress.say(_summary(about))
    for warning in about["warnings"]:
        progress.warn(warning)
    return read_run(folder)


def _history(points: Sequence[dict[str, float]]) -> str:
    names = list(points[0])
    lines = [",".join(f"{point[name]:.7g}" for name in names) for point in points]
    return "\n".join([",".join(names), *lines]) + "\n"


def _summary(about: dict[str, Any]) -> str:
    told = []
    for split in ("validation", "test"):
        accuracy = about["metrics"][split]["accuracy"]
        told.append(f"{split} -" if accuracy is None else f"{split} {accuracy:.1%}")
    return f"{about['run']}: {', '.join(told)} in {about['seconds']:.1f} s"
