"""How accuracy grows with the number of training pictures: would more of them help?

The kind of head that was chosen, with its settings, learns from 5, 10, 20, 50, ...
pictures per class and is judged on validation. With few pictures much hangs on which they are, so
several draws are made; the interval allows for the draws and for the validation pictures.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.results import KeptResults, Result
from ..models.estimator import scores_of
from ..models.heads import HEADS
from .controls import NUMBERS
from .intervals import Interval
from .judgements import Ground, Judgement
from .progress import Progress
from .seeds import separate_seeds
from .units import format_points

SPLIT = "validation"
SIZES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Pictures per class."""
MOST = 10_000
"""Training pictures of a point; only the last point may have more, which is the run itself."""
DRAWS = 3
LIGHT = ".skops"
"""Suffix of heads that are trained without TensorFlow."""
STAND_IN = "logistic"
_WORTH = 0.005
"""A gain by the last doubling that is worth looking for more pictures: half a point."""
_TOLD = 0.02
"""Half an interval beyond which a smaller gain tells nothing."""


@dataclass(frozen=True, slots=True)
class Point:
    """One number of pictures."""

    per_class: int
    """Of the most frequent class; of those that have fewer, all."""
    images: int
    """Learned from."""
    draws: int
    accuracy: float
    """Mean over the draws, 0..1."""
    interval: Interval
    """95 %, over draws and validation pictures."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Accuracy on validation by pictures per class."""

    run: str
    """Id of the run whose kind of head and features it is of."""
    head: str
    inputs: str
    points: tuple[Point, ...]
    """By rising numbers; the last is of all training pictures."""

    @property
    def sentence(self) -> str:
        """What the last part of the curve says."""
        last = self.points[-1]
        before = [point for point in self.points if 2 * point.images <= last.images]
        if not before:
            return f"{last.images:,} training pictures are too few to tell whether more would help"
        gain = last.accuracy - before[-1].accuracy
        doubt = (last.interval[1] - last.interval[0]) / 2
        fact = (
            f"from {before[-1].images:,} to {last.images:,} training pictures, accuracy on validation changed by "
            f"{format_points(gain, sign=True)} points"
        )
        if doubt > max(_TOLD, abs(gain)):
            return f"{fact}; too few validation pictures to tell whether more for training would help"
        return f"{fact}: more of this kind {'are likely to' if gain > _WORTH else 'would hardly'} help"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        points = [{**asdict(point), "interval": list(point.interval)} for point in self.points]
        return {**asdict(self), "split": SPLIT, "points": points, "sentence": self.sentence}


def draw_learning_curve(
    ranked: Sequence[Judgement], kept: KeptResults, progress: Progress, *, seed: int = 0
) -> LearningCurve | None:
    """Return the learning curve of the best run whose head needs no TensorFlow; None without validation pictures.

    Where all need it, a logistic head on the features of the best stands in.

    Parameters
    ----------
    ranked : sequence of Judgement
        The best first.
    kept : KeptResults
    progress : Progress
    seed : int
        Of the draws; the draws of one seed grow by adding pictures.
    """
    best = next((each for each in ranked if each.run.record["head_file"].endswith(LIGHT)), ranked[0])
    record, ground = best.run.record, best.ground
    if ground.count(SPLIT) < 2:
        return None
    head, settings = _choose_head(record)
    about = {**ground.identity, "head": head, "settings": settings, "seed": seed}

    def compute() -> Result:
        progress.say(f"learning curve of {head} on {ground.inputs.label}")
        return _learn(ground, head, settings, seed)

    points = [_read_point(each) for each in kept.recall("curve", about, compute).values["points"]]
    if head == record["head"] and (not points or points[-1].images < ground.count("train")):
        points.append(_whole(best))
    return LearningCurve(best.run.id, head, record["inputs"], tuple(points)) if points else None


def _choose_head(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the head of a run, or the one that stands in, and its settings with what was chosen."""
    if not record["head_file"].endswith(LIGHT):
        return STAND_IN, HEADS[STAND_IN].complete({})
    settings = HEADS[record["head"]].complete(record["settings"])
    return record["head"], {**settings, **{name: value for name, value in record["found"].items() if name in settings}}


def _learn(ground: Ground, head: str, settings: dict[str, Any], seed: int) -> Result:
    train, held_out = ground.where("train"), ground.where(SPLIT)
    labels, judged = ground.labels[train], np.arange(held_out.start, held_out.stop)
    counts = np.bincount(labels)
    most = min(MOST, NUMBERS // ground.inputs.width)
    sizes = [size for size in SIZES if size < counts.max() and np.minimum(counts, size).sum() <= most]
    if len(labels) <= most:
        sizes.append(int(counts.max()))
    if not sizes:
        return Result({"points": []})
    orders = [np.random.default_rng([seed, draw]).permutation(len(labels)) for draw in range(DRAWS)]
    X_judged, told = ground.read(judged), []
    for size in sizes:
        whole = size == counts.max()
        chosen = [_choose(labels, order, size) for order in orders[: 1 if whole else DRAWS]]
        right = []
        for number, positions in enumerate(chosen):
            record = HEADS[head]
            # What was not chosen yet is chosen as in training, by validation.
            trained = record.make(settings, seed=seed + number)
            trained.fit(ground.read(positions), labels[positions], validation=(X_judged, ground.labels[judged]))
            classes = np.asarray(trained.classes_)
            says = classes[scores_of(trained, X_judged)[0].argmax(axis=1)]
            right.append(says == ground.labels[judged])
        seeds = separate_seeds(np.array(right), groups=ground.grouping(SPLIT))
        told.append(asdict(Point(size, len(chosen[0]), len(chosen), seeds.mean, seeds.interval)))
    return Result({"points": told})


def _choose(labels: NDArray[np.int32], order: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return the first `size` of each class in some order, rising."""
    ranked = order[np.argsort(labels[order], kind="stable")]
    start = np.searchsorted(labels[ranked], labels[ranked])
    return np.sort(ranked[np.arange(len(ranked)) - start < size])


def _whole(best: Judgement) -> Point:
    """Return the run itself as the point of all training pictures."""
    ground = best.ground
    right = best.right[ground.where(SPLIT)]
    seeds = separate_seeds(right[None], groups=ground.grouping(SPLIT))
    labels = ground.labels[ground.where("train")]
    return Point(int(np.bincount(labels).max()), len(labels), 1, seeds.mean, seeds.interval)


def _read_point(values: dict[str, Any]) -> Point:
    point = Point(**values)
    return replace(point, interval=(point.interval[0], point.interval[1]))
