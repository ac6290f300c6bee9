"""One training: a head learns from pictures, says what it knows of them, and the record of a run comes of it.

The training split is learned from, the validation split chooses (settings, when to stop, the temperature), and
the test split is touched once, at the end. `fitting` says which head says what.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.runs import FORMAT, run_id
from ...cache.table import Dataset
from ...models.heads.estimator import Head, scores_of
from ...models.heads.heads import HeadRecord
from ...models.solvers.streaming import Matrix, cut
from ..runs.inputs import JOINT
from .fitting import Fitted, Material, choose_folds, fit_heads
from .ground import Ground
from .statements import Statements, ask_heads

_TIMED = 1024
"""Pictures in the batch that tells how long a head takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTraining:
    """A head, what it learns from, and how."""

    head: HeadRecord
    settings: dict[str, Any]
    """Complete."""
    table: Dataset
    ground: Ground
    seed: int
    tta: bool
    folds: int | None
    """As asked for."""
    refit: bool
    calibrated: bool

    @property
    def run(self) -> str:
        """Id of the run that comes of it; it hangs on all of it."""
        source = self.ground.inputs
        inputs = {
            "format": FORMAT,
            "head": self.head.name,
            "settings": self.settings,
            "seed": self.seed,
            "dataset": self.table.name,
            "features": source.digest,
            "views": [JOINT.join(each.digest for each in sets) for sets in source.views[1:]],
            "tta": self.tta,
            "folds": self.folds,
            "refit": self.refit,
            "calibrated": self.calibrated,
            "examples": self.ground.digest,
        }
        return run_id(self.head.name, source.backbone, inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What came of a training."""

    training: HeadTraining
    fitted: Fitted
    statements: Statements
    folds: int | None
    """By how many was chosen."""
    notes: tuple[str, ...]
    """On how was chosen."""
    seconds: float
    """Of training."""
    milliseconds: float
    """Per picture, of the head that is put to use."""

    @property
    def is_refit(self) -> bool:
        """Whether the head that is put to use is another one than that by which was chosen."""
        return self.fitted.head is not self.fitted.selection

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it in run.json, as plain JSON values."""
        training, examples, source = self.training, self.training.ground.examples, self.training.ground.inputs
        return {
            "run": training.run,
            "backbone": source.backbone,
            "inputs": source.label,
            "head": training.head.name,
            "dataset": training.table.name,
            "settings": training.settings,
            "seed": training.seed,
            "metrics": self.statements.metrics,
            "found": self.fitted.facts,
            "folds": self.folds,
            "refit": self.is_refit,
            "temperature": self.statements.temperature,
            "warnings": [*source.notes, *examples.warnings, *self.notes, *self.fitted.warnings],
            "classes": list(examples.classes),
            "features_digest": source.digest,
            "views": len(source.views),
            "augment": source.views[-1][0].recipe.augment,
            "tta": training.tta,
            "dataset_digest": training.table.digest,
            "examples_digest": training.ground.digest,
            "seconds": round(self.seconds, 3),
            "head_milliseconds": self.milliseconds,
            "request": {"folds": training.folds, "refit": training.refit, "calibrated": training.calibrated},
        }


def learn(training: HeadTraining, X: Matrix) -> Learned:
    """Train the heads of a training and ask them of all pictures.

    Parameters
    ----------
    training : HeadTraining
    X : ndarray or StreamedRows of shape ((v - 1) * t + n, d), float32
        Features as `gather_rows` returns them.

    Raises
    ------
    UnsuitableRows, UnsuitableSetting
        See `fit_heads`.
    InvalidRequest
        See `Statements.calibrate`.
    """
    head, settings, seed = training.head, training.settings, training.seed
    material = Material.of(training.ground, X)
    folds, notes = choose_folds(head, settings, material, seed=seed, asked=training.folds)
    started = time.monotonic()
    fitted = fit_heads(head, settings, material, seed=seed, refit=training.refit, folds=folds)
    seconds = time.monotonic() - started
    pictures = cut(X, slice(material.first, None))
    statements = ask_heads(fitted, training.ground, pictures, tta=training.tta)
    if training.calibrated:
        statements = statements.calibrate()
    return Learned(
        training=training,
        fitted=fitted,
        statements=statements,
        folds=folds,
        notes=tuple(notes),
        seconds=seconds,
        milliseconds=_time(fitted.head, pictures[:_TIMED]),
    )


def _time(head: Head, X: NDArray[np.float32]) -> float:
    """Return milliseconds per picture of a head that has been used before, on one batch."""
    started = time.perf_counter()
    scores_of(head, X)
    return round(1000 * (time.perf_counter() - started) / len(X), 6)
