"""Runs: one trained head with its settings, metrics, predictions and provenance, in a folder each.

    runs/<id>/run.json          everything about the run (format below)
    runs/<id>/head.skops|.keras the head that is put to use
    runs/<id>/selection.*       the head trained on the training split alone, where the other one saw more
    runs/<id>/predictions.h5    keys, labels, splits, predicted, scores of every picture used
    runs/<id>/history.csv       loss and accuracy per epoch, for heads that learn in epochs

The id contains a digest of all inputs, so that the same request finds the run that answers it.
A run folder is written under another name and renamed: it is complete or absent.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CacheError, DamagedFile, NewerFormat
from .files import PARTIAL, read_json, remove_leftovers, replacing_folder, write_bytes, writing_errors
from .hdf5 import reading_hdf5, writing_hdf5
from .part import KEY_DTYPE
from .table import SPLITS

FORMAT = 3
_MEND = "train the run again with --force"
_FIELDS: dict[str, type | UnionType] = {
    "format": int,
    "run": str,
    "backbone": str,
    "inputs": str,
    "head": str,
    "dataset": str,
    "settings": dict,
    "seed": int,
    "metrics": dict,
    "found": dict,
    "classes": list,
    "warnings": list,
    "features_digest": str,
    "examples_digest": str,
    "views": int,
    "request": dict,
    "seconds": int | float,
}
"""What whoever compares runs reads of every record."""
_METRICS = {"images", "accuracy", "macro_f1"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a head says of every picture it was trained or evaluated on.

    `classes[labels[i]]` is the true class of the picture `keys[i]`, `classes[predicted[i]]` the
    predicted one.
    """

    keys: NDArray[np.bytes_]
    """(n,) S32."""
    labels: NDArray[np.int32]
    """(n,) position of the true class in the run's class list."""
    splits: NDArray[np.uint8]
    """(n,) 0 train, 1 validation, 2 test."""
    predicted: NDArray[np.int32]
    """(n,) position of the predicted class."""
    scores: NDArray[np.float32]
    """(n, c) probabilities, or decision values where `are_probabilities` is false."""
    are_probabilities: bool
    out_of_fold: bool = False
    """Whether training rows have scores of heads that have not seen them, as validation rows always have."""

    @property
    def honest(self) -> NDArray[np.bool_]:
        """(n,) rows by which a run is chosen: scored by a head that has not seen them, and not of the test split."""
        return np.asarray(self.splits <= 1 if self.out_of_fold else self.splits == 1)


@dataclass(frozen=True, slots=True)
class Run:
    """One trained head."""

    id: str
    folder: Path
    record: dict[str, Any]
    """The content of run.json."""

    @property
    def predictions(self) -> Predictions:
        """Predictions for every picture used."""
        return read_predictions(self.folder / "predictions.h5")

    @property
    def history(self) -> dict[str, list[float]]:
        """Columns of history.csv: epoch, loss, accuracy, ...; empty for a head without epochs."""
        path = self.folder / "history.csv"
        if not path.exists():
            return {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in rows[0]}


def run_id(head: str, backbone: str, inputs: dict[str, Any]) -> str:
    """Return the id of the run that answers this request: `<head>-<backbone>-<digest of the inputs>`.

    >>> run_id("svm", "xception", {"seed": 0, "c": 1.0}) == run_id("svm", "xception", {"c": 1.0, "seed": 0})
    True
    """
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return f"{head}-{backbone}-{hashlib.sha256(canonical.encode()).hexdigest()[:10]}"


@contextmanager
def new_run(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write a run into; on success it becomes `folder`, replacing an older run."""
    with writing_errors(folder):
        remove_leftovers(folder.parent)
        # What a crash may lose, the same command makes again.
        with replacing_folder(folder) as temporary:
            yield temporary


def survey_runs(folder: Path) -> list[tuple[Path, Run | CacheError]]:
    """Return every folder of a run in the order of their ids, with the run or why it cannot be read."""
    found: list[tuple[Path, Run | CacheError]] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.name.endswith(PARTIAL) and (path / "run.json").is_file():
            try:
                found.append((path, read_run(path)))
            except CacheError as error:
                found.append((path, error))
    return found


def read_run(folder: Path) -> Run:
    """Return the run that lies in a folder.

    Raises
    ------
    NewerFormat
        A later demijohn wrote it.
    DamagedFile
        It is no run.
    """
    path, mend = folder / "run.json", f"remove the run's folder {folder}, or train it again"
    record = read_json(path, mend)
    number = record.get("format")
    if isinstance(number, int) and number > FORMAT:
        raise NewerFormat(f"{path} has format {number}, this demijohn reads up to {FORMAT}: install a newer demijohn")
    if number != FORMAT:
        record = _from_older(record)
    if wrong := _find_wrong(record):
        raise DamagedFile(f"{path} is damaged: missing, or not what a run has: {', '.join(wrong)}; {mend}")
    return Run(folder.name, folder, record)


def _find_wrong(record: dict[str, Any]) -> list[str]:
    """Return the names of fields that are missing or of another kind."""
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(record.get(name), kind)]
    if "metrics" in wrong:
        return wrong
    told = {split: record["metrics"].get(split) for split in SPLITS}
    return wrong + [
        f"metrics.{split}" for split, each in told.items() if not (isinstance(each, dict) and each.keys() >= _METRICS)
    ]


def _from_older(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record that was written before there were views and joined backbones, or two heads."""
    views = {"inputs": record.get("backbone"), "views": 1, "augment": "none", "tta": False}
    heads = {"selection_file": record.get("head_file"), "refit": False, "folds": None, "temperature": None}
    request = {"request": {"folds": None, "refit": False, "calibrated": False}}
    return {**views, **heads, **request, **record}


def write_history(path: Path, points: Sequence[dict[str, float]]) -> None:
    """Write history.csv: a row per epoch; all points have the same columns."""
    lines = [",".join(f"{value:.7g}" for value in point.values()) for point in points]
    write_bytes(path, ("\n".join([",".join(points[0]), *lines]) + "\n").encode())


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.h5; any HDF5 reader reads it."""
    with writing_hdf5(path) as file:
        file["keys"] = predictions.keys.view(np.uint8).reshape(-1, 32)
        file["labels"] = predictions.labels
        file["splits"] = predictions.splits
        file["predicted"] = predictions.predicted
        file["scores"] = predictions.scores
        file.attrs["are_probabilities"] = predictions.are_probabilities
        file.attrs["out_of_fold"] = predictions.out_of_fold
        file.attrs["content"] = np.bytes_(_content(predictions))


def read_predictions(path: Path) -> Predictions:
    """Return what `write_predictions` wrote.

    Raises
    ------
    DamagedFile
        The file cannot be read or an array is missing.
    """
    if not path.exists():
        raise DamagedFile(f"{path} is not there: expected it in every run; {_MEND}")
    with reading_hdf5(path, _MEND) as file:
        predictions = Predictions(
            keys=np.ascontiguousarray(file["keys"][:]).view(KEY_DTYPE).reshape(-1),
            labels=file["labels"][:],
            splits=file["splits"][:],
            predicted=file["predicted"][:],
            scores=file["scores"][:],
            are_probabilities=bool(file.attrs["are_probabilities"]),
            out_of_fold=bool(file.attrs.get("out_of_fold", False)),
        )
        if _content(predictions) != file.attrs["content"].decode():
            raise DamagedFile(f"{path} is damaged: its arrays are not those that were written; {_MEND}")
    return predictions


def predictions_content(run: Run) -> str:
    """Return the digest that a run's predictions.h5 has of itself, without reading its arrays.

    Raises
    ------
    DamagedFile
        The file cannot be read.
    """
    with reading_hdf5(run.folder / "predictions.h5", _MEND) as file:
        return str(file.attrs["content"].decode())


def _content(predictions: Predictions) -> str:
    arrays = (predictions.keys, predictions.labels, predictions.splits, predictions.predicted, predictions.scores)
    digest = hashlib.sha256(repr([(array.shape, array.dtype.str) for array in arrays]).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(str(predictions.are_probabilities).encode())
    if predictions.out_of_fold:
        digest.update(b"out of fold")
    return digest.hexdigest()
