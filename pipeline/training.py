"""Stage two: a head is trained on stored features; the pictures are not needed any more.

The training split is learned from, the validation split chooses (settings, when to stop, the
temperature), and the test split is touched once, at the end. `fitting` says which head says what.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.files import write_json
from ..cache.part import keys_to_array
from ..cache.runs import FORMAT, Predictions, Run, new_run, read_run, run_id, write_history, write_predictions
from ..cache.store import FeatureStore
from ..cache.table import SPLITS
from ..models.errors import UnsuitableRows
from ..models.estimator import Head, score_rows, scores_of
from ..models.folds import assign_folds
from ..models.heads import HEADS, HeadRecord, find_head
from ..models.streaming import Matrix, StreamedRows, cut
from .errors import InvalidRequest
from .evaluation import evaluate
from .examples import Examples, choose_examples
from .fitting import Fitted, Material, fit_heads, scores_are_probabilities
from .gathering import gather_rows
from .inputs import JOINT, Inputs, choose_inputs, extraction_command
from .memory import machine_memory
from .progress import SILENT, Progress
from .provenance import describe_environment

FOLDS = 5
"""So many where there are no validation pictures to choose with."""
_TIMED = 1024
"""Pictures in the batch that tells how long a head takes."""
Scores = NDArray[np.float64]


def train_heads(
    heads: Sequence[str],
    *,
    seeds: int = 1,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    progress: Progress = SILENT,
    **request: Any,
) -> list[Run]:
    """Train several heads, each with several seeds, and return the runs.

    Parameters
    ----------
    heads : sequence of str
        Names of `HEADS`; `all` stands for every one.
    seeds : int
        How many; they are seed, seed + 1, ... A head without anything random is trained with each all the same.
    settings : dict, optional
        Each goes to those of the heads that have it.
    request
        See `train_head`.

    Raises
    ------
    UnknownHead, UnsuitableSetting
        Before anything is trained.
    """
    records = [find_head(name) for name in dict.fromkeys(HEADS if "all" in heads else heads)]
    given = settings or {}
    known = {name for record in records for name in record.settings}
    for name in given:
        if name not in known:
            records[0].complete({name: given[name]})
    runs = []
    for record in records:
        own = {name: value for name, value in given.items() if name in record.settings}
        for number in range(seed, seed + seeds):
            runs.append(train_head(record.name, seed=number, settings=own, progress=progress, **request))
    return runs


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
    tune: bool = True,
    folds: int | None = None,
    refit: bool = True,
    calibrated: bool = False,
    seed: int = 0,
    memory: int | None = None,
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
    tune : bool
        Choose the strength among a grid where none is given; otherwise scikit-learn's default stands.
    folds : int, optional
        Choose by so many folds of training and validation pictures together, at least 2, instead of by the
        validation split; without validation pictures, five are taken for a head with a strength.
    refit : bool
        Train the head that is put to use on validation pictures as well, with what was chosen.
    calibrated : bool
        Make honest probabilities of the scores, of any head, by a temperature.
    seed : int
        Of everything random in training.
    memory : int, optional
        Bytes that training may take, by default half of the machine's: where features would take more than half
        of them, they are streamed from a temporary file beside the runs.
    force : bool
        Train again even if the run is there.

    Raises
    ------
    UnknownDataset, UnknownFeatures, MissingFeatures, UnknownHead, UnsuitableSetting
        What was asked for is not there; the message says what is.
    NotTrainable
        Fewer than two classes have training pictures.
    UnsuitableRows
        There are fewer groups of pictures than folds.
    InvalidRequest
        The head does not stream and the features take too much memory, or there is no room on the disk.
    """
    kept = FeatureStore(store, results)
    record = find_head(head)
    complete = record.complete(settings or {})
    if not tune:
        complete = record.settle(complete)
    table = kept.find_dataset(dataset)
    source = choose_inputs(kept, backbone, features, views=views, augment=augment, dataset=table.name)
    _check(source, table.name, tta=tta, folds=folds)
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
        "folds": folds,
        "refit": refit,
        "calibrated": calibrated,
        "examples": examples.digest,
    }
    identity = run_id(head, source.backbone, inputs)
    existing = kept.find_run(identity)
    if existing is not None and not force:
        progress.say(f"{identity}: trained before, nothing to do (--force trains it again)")
        return existing

    labels, parts = examples.labels, _parts(examples)
    keys = [row.key for row in examples.rows]
    X = gather_rows(
        source,
        keys,
        trained=parts[0].stop,
        classes=len(examples.classes),
        streams=record.streams(complete),
        head=head,
        memory=machine_memory() // 2 if memory is None else memory,
        folder=kept.results,
        progress=progress,
    )
    source.note_use()
    material = _material(examples, X, parts, len(source.views) - 1)
    pictures = cut(X, slice(material.first, None))
    folds, notes = _ways(record, complete, material, folds, seed)
    started = time.monotonic()
    fitted = fit_heads(record, complete, material, seed=seed, refit=refit, folds=folds)
    seconds = time.monotonic() - started
    refitted = fitted.head is not fitted.selection

    def say(trained: Head, part: slice) -> Scores:
        # A head is asked of its splits alone, so that test pictures are touched by no other.
        if part.start == part.stop:
            return np.zeros((0, len(examples.classes)))
        said = [score_rows(trained, cut(pictures, part))]
        if tta:
            views, bites = range(1, len(source.views)), _bites(part, X)
            said += [np.concatenate([scores_of(trained, source.read(keys[b], v))[0] for b in bites]) for v in views]
        return np.asarray(np.mean(said, axis=0))

    seen = slice(0, parts[1].stop)
    known, test = say(fitted.selection, seen), say(fitted.head, parts[2])
    honest = (fitted.held_out, slice(0, seen.stop)) if fitted.held_out is not None else (known[parts[1]], parts[1])
    are_probabilities = scores_are_probabilities(fitted.head)
    temperature = None
    if calibrated:
        temperature, sure = _calibrate(honest[0], labels[honest[1]], are_probabilities=are_probabilities)
        known, test, honest = sure(known), sure(test), (sure(honest[0]), honest[1])
        are_probabilities = True
    milliseconds = _time(fitted.head, pictures[:_TIMED])
    groups = examples.groups
    metrics = {
        split: evaluate(
            labels[part], scores, are_probabilities=are_probabilities, groups=None if groups is None else groups[part]
        )
        for split, scores, part in zip(
            SPLITS, (known[parts[0]], honest[0], test), (parts[0], honest[1], parts[2]), strict=True
        )
    }
    # What heads that have not seen them say of training pictures is worth more than what one says that has.
    told = known if fitted.held_out is None else honest[0]
    scores = np.concatenate([told, test])
    predictions = Predictions(
        keys=keys_to_array(keys),
        labels=labels,
        splits=examples.splits,
        predicted=scores.argmax(axis=1).astype(np.int32),
        scores=scores.astype(np.float32),
        are_probabilities=are_probabilities,
        out_of_fold=fitted.held_out is not None,
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
        "found": fitted.facts,
        "folds": folds,
        "refit": refitted,
        "temperature": temperature,
        "warnings": [*source.notes, *examples.warnings, *notes, *fitted.warnings],
        "classes": list(examples.classes),
        "features_digest": source.digest,
        "views": len(source.views),
        "augment": source.views[-1][0].recipe.augment,
        "tta": tta,
        "dataset_digest": table.digest,
        "examples_digest": examples.digest,
        "seconds": round(seconds, 3),
        "head_milliseconds": milliseconds,
        "request": {"folds": inputs["folds"], "refit": refit, "calibrated": calibrated},
    }
    return _write_run(kept.run_folder(identity), about, fitted, predictions, progress)


def _time(head: Head, X: NDArray[np.float32]) -> float:
    """Return milliseconds per picture of a head that has been used before, on one batch."""
    started = time.perf_counter()
    scores_of(head, X)
    return round(1000 * (time.perf_counter() - started) / len(X), 6)


def _check(source: Inputs, dataset: str, *, tta: bool, folds: int | None) -> None:
    if tta and len(source.views) == 1:
        command = extraction_command(source.sets[0], dataset, views=8, every=True)
        raise InvalidRequest(f"--tta needs further views of every picture: run {command} first")
    if folds is not None and folds < 2:
        raise InvalidRequest(f"--folds is {folds}, expected 2 or more: give 5, or leave it out to choose by validation")
    if folds is not None and tta:
        raise InvalidRequest("--folds and --tta were given, expected one of them: folds judge pictures in one view")


def _parts(examples: Examples) -> list[slice]:
    """Return where each split begins and ends."""
    bounds = np.searchsorted(examples.splits, np.arange(len(SPLITS) + 1))
    return [slice(int(start), int(stop)) for start, stop in pairwise(bounds)]


def _material(examples: Examples, X: Matrix, parts: list[slice], views: int) -> Material:
    trained, seen = parts[0].stop, parts[1].stop
    groups = np.arange(seen) if examples.groups is None else examples.groups[:seen]
    return Material(cut(X, slice(0, views * trained + seen)), examples.labels[:seen], groups, trained, views)


def _bites(part: slice, X: Matrix) -> list[slice]:
    """Return pictures of a split that are in memory together: all, or, where X is streamed, a tenth of what may be."""
    step = max(1, X.memory // 10 // (4 * X.shape[1])) if isinstance(X, StreamedRows) else part.stop - part.start
    return [slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)]


def _ways(
    record: HeadRecord, settings: dict[str, Any], material: Material, folds: int | None, seed: int
) -> tuple[int | None, list[str]]:
    """Return by how many folds is chosen, and what is to be said where there are no validation pictures."""
    if folds is not None or material.validation is not None:
        return folds, []
    fact = "no validation pictures"
    if record.strength and settings[record.strength] is None and _can_be_shared(material, seed):
        return FOLDS, [f"{fact}: {record.strength} is chosen by {FOLDS} folds of the training pictures"]
    return None, [f"{fact}: runs cannot be compared by them"]


def _can_be_shared(material: Material, seed: int) -> bool:
    """Say whether FOLDS folds leave two classes to train on each."""
    try:
        fold = assign_folds(material.labels, material.groups, FOLDS, seed=seed)
    except UnsuitableRows:
        return False
    return all(len(np.unique(material.labels[fold != number])) > 1 for number in range(FOLDS))


def _calibrate(scores: Scores, labels: NDArray[np.int32], *, are_probabilities: bool) -> tuple[float, Any]:
    """Return the temperature, and what makes probabilities of scores.

    Raises
    ------
    InvalidRequest
        There is no picture to find it on.
    """
    from ..models.temperature import calibrate, fit_temperature

    if not len(scores):
        raise InvalidRequest("--calibrate needs validation pictures, found none: add some, or give --folds 5")
    temperature = fit_temperature(scores, labels, are_probabilities=are_probabilities)
    return temperature, lambda some: calibrate(some, temperature, are_probabilities=are_probabilities)


def _write_run(
    folder: Path, about: dict[str, Any], fitted: Fitted, predictions: Predictions, progress: Progress
) -> Run:
    with new_run(folder) as temporary:
        head = selection = temporary / f"head{fitted.head.suffix}"
        fitted.head.save(head)
        if about["refit"]:
            selection = temporary / f"selection{fitted.selection.suffix}"
            fitted.selection.save(selection)
        write_predictions(temporary / "predictions.h5", predictions)
        if fitted.selection.history_:
            write_history(temporary / "history.csv", fitted.selection.history_)
        write_json(
            temporary / "run.json",
            {
                "format": FORMAT,
                **about,
                "head_file": head.name,
                "selection_file": selection.name,
                "head_bytes": head.stat().st_size,
                **describe_environment(),
            },
        )
    progress.say(_summary(about))
    for warning in about["warnings"]:
        progress.warn(warning)
    return read_run(folder)


def _summary(about: dict[str, Any]) -> str:
    told = []
    for split in ("validation", "test"):
        accuracy = about["metrics"][split]["accuracy"]
        told.append(f"{split} -" if accuracy is None else f"{split} {accuracy:.1%}")
    return f"{about['run']}: {', '.join(told)} in {about['seconds']:.1f} s"
