"""Epochs of a fine-tuning: each is trained, judged on validation and kept, so that a kill loses one at most.

What an epoch does hangs on the seed and its number, and on the state that the one before it left. Epoch 0 is
the head as it was trained on features: where no epoch is better, that is what remains.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from ...models.errors import UnsuitableSetting
from ...models.networks.descent import Descent, Samples
from ...models.networks.folding import softmax
from ..interruption import stopping_gently
from ..progress import Progress
from ..runs.tuning import Tuning
from ..statistics.evaluation import SURE

Point = dict[str, float]


@dataclass(slots=True)
class Course:
    """What a training went through."""

    history: list[Point]
    """Of every epoch, from epoch 0 on."""
    best: list[NDArray[Any]]
    """Weights of the best epoch."""
    best_epoch: int = 0
    seconds: list[float] = field(default_factory=list)
    """Of each epoch."""
    earlier: float = 0.0
    """Of all epochs before a kill."""

    @property
    def epoch(self) -> int:
        """The last one that was trained."""
        return int(self.history[-1]["epoch"])


@dataclass(frozen=True, slots=True)
class Splits:
    """Which rows are learned from and which choose."""

    train: NDArray[np.intp]
    validation: NDArray[np.intp]


def measure(
    probabilities: NDArray[np.float64], labels: NDArray[np.int32], weights: NDArray[np.float32], prefix: str = ""
) -> Point:
    """Return accuracy and mean loss of some pictures, under the names of history.csv."""
    true = probabilities[np.arange(len(labels)), labels]
    return {
        f"{prefix}accuracy": float(np.average(probabilities.argmax(axis=1) == labels, weights=weights)),
        f"{prefix}loss": float(np.average(-np.log(np.clip(true, SURE, None)), weights=weights)),
    }


def run_epochs(
    descent: Descent,
    material: Samples,
    splits: Splits,
    tuning: Tuning,
    *,
    start: Point,
    kept: Path,
    seed: int,
    progress: Progress,
) -> Course:
    """Train until no epoch is better any more, and return the course; the best weights are not restored yet.

    Parameters
    ----------
    descent : Descent
    material : Samples
    splits : Splits
    tuning : Tuning
    start : Point
        Epoch 0.
    kept : Path
        The checkpoint; where there is one, training goes on from it.
    seed : int
        Of the order of pictures.
    progress : Progress

    Raises
    ------
    UnsuitableSetting
        Training diverged.
    KeyboardInterrupt
        On SIGINT or SIGTERM.
    """
    course = _go_on(descent, kept, progress) or Course([start], descent.weights())
    judged = bool(len(splits.validation))
    while course.epoch < tuning.epochs and not (judged and course.epoch - course.best_epoch >= tuning.patience):
        number = course.epoch + 1
        started = time.monotonic()
        order = splits.train[np.random.default_rng([seed, number]).permutation(len(splits.train))]
        point = _train(descent, material, order, tuning, number, progress)
        if judged:
            logits = descent.judge(material, splits.validation, tuning.batch_size)
            labels, weights = material.labels[splits.validation], material.weights[splits.validation]
            point |= measure(softmax(logits), labels, weights, "val_")
        if not all(np.isfinite(value) for value in point.values()):
            kept.unlink(missing_ok=True)
            raise UnsuitableSetting(
                f"training diverged in epoch {number} at a learning rate of {tuning.learning_rate:g}: "
                "choose a smaller --learning-rate, and a smaller --head-learning-rate"
            )
        course.history.append(point)
        if not judged or point["val_loss"] < min(each["val_loss"] for each in course.history[:-1]):
            course.best, course.best_epoch = descent.weights(), number
        course.seconds.append(time.monotonic() - started)
        progress.say(_told(point, len(order), course.seconds[-1], best=course.best_epoch == number))
        _keep(descent, course, kept)
    return course


def _train(
    descent: Descent, material: Samples, order: NDArray[np.intp], tuning: Tuning, number: int, progress: Progress
) -> Point:
    seen, loss, hits = 0, 0.0, 0
    with stopping_gently() as stop, progress.count(len(order), cached=0) as count:
        for pictures, losses, right in descent.train(material, order, tuning.batch_size):
            if stop.is_set():
                raise KeyboardInterrupt
            seen, loss, hits = seen + pictures, loss + losses, hits + right
            count(extracted=pictures)
    weight = float(material.weights[order].sum())
    return {"epoch": float(number), "accuracy": hits / seen, "loss": loss / weight}


def _told(point: Point, pictures: int, seconds: float, *, best: bool) -> str:
    told = f"epoch {point['epoch']:.0f}: loss {point['loss']:.4f}, accuracy {point['accuracy']:.1%}"
    if "val_loss" in point:
        told += f", validation loss {point['val_loss']:.4f}, accuracy {point['val_accuracy']:.1%}"
        told += ", the least loss so far" if best else ""
    return f"{told}; {seconds:.1f} s, {pictures / seconds:,.0f} images/s"


def _keep(descent: Descent, course: Course, kept: Path) -> None:
    best = {f"best/{number}": array for number, array in enumerate(course.best)}
    facts = {"history": course.history, "best_epoch": course.best_epoch, "seconds": course.seconds}
    write_checkpoint(kept, Checkpoint({**descent.state(), **best}, facts))


def _go_on(descent: Descent, kept: Path, progress: Progress) -> Course | None:
    checkpoint = read_checkpoint(kept)
    if checkpoint is None:
        return None
    descent.restore(checkpoint.arrays)
    count = len(descent.weights())
    best = [checkpoint.arrays[f"best/{number}"] for number in range(count)]
    course = Course(best=best, earlier=sum(checkpoint.facts["seconds"]), **checkpoint.facts)
    progress.say(f"going on after epoch {course.epoch}")
    return course
