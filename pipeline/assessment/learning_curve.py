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

from ...cache.results import KeptResults, Result
from ...models.heads.estimator import scores_of
from ...models.heads.heads import HEADS
from ..progress import Progress
from ..statistics.evidence import Sampling
from ..statistics.intervals import Interval, mean_of_values
from ..statistics.seeds import separate_seeds
from ..training.ground import Ground
from ..units import format_points
from .controls import NUMBERS
from .judgements import Judgement

SPLIT = "validation"
SIZES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Pictures per class."""
MOST = 4_000
"""Training pictures of a point; only the last point may have more, which is the run itself."""
DRAWS = 3
LIGHT = ".skops"
"""Suffix of heads that are trained without TensorFlow."""
STAND_IN = "logistic"
WORTH = 0.01
"""A gain that is shown to be less is not worth more pictures: one point."""


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
class LastGain:
    """What the last doubling of the training pictures gained."""

    images: int
    """Training pictures before it, at most half of all."""
    difference: float
    """Accuracy with all pictures minus that with so many, on the same validation pictures."""
    interval: Interval
    """95 %."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Accuracy on validation by pictures per class."""

    run: str
    """Id of the run whose kind of head and features it is of."""
    head: str
    inputs: str
    points: tuple[Point, ...]
    """By rising numbers; the last is of all training pictures."""
    gain: LastGain | None
    """None where no point has at most half of the pictures, or nothing varies."""

    @property
    def sentence(self) -> str:
        """What the last part of the curve says."""
        last = self.points[-1].images
        if self.gain is None:
            return f"{last:,} training pictures are too few to tell whether more would help"
        low, high = self.gain.interval
        fact = (
            f"from {self.gain.images:,} to {last:,} training pictures, accuracy on validation changed by "
            f"{format_points(self.gain.difference, sign=True)} points "
            f"[{format_points(low, sign=True)}, {format_points(high, sign=True)}]"
        )
        if low > 0:
            return f"{fact}: more of this kind are likely to help"
        if high < WORTH:
            return f"{fact}: more of this kind would hardly help"
        return f"{fact}: too few validation pictures to tell whether more for training would help"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        points = [{**asdict(point), "interval": list(point.interval)} for point in self.points]
        gain = None if self.gain is None else {**asdict(self.gain), "interval": list(self.gain.interval)}
        return {**asdict(self), "split": SPLIT, "points": points, "gain": gain, "sentence": self.sentence}


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
    about = {**ground.identity, "head": head, "settings": settings, "seed": seed, "plan": [MOST, DRAWS, *SIZES]}

    def compute() -> Result:
        progress.say(f"learning curve of {head} on {ground.inputs.label}")
        return _learn(ground, head, settings, seed)

    result = kept.recall("curve", about, compute)
    points, right = [_read_point(each) for each in result.values["points"]], list(result.arrays["right"])
    if head == record["head"] and (not points or points[-1].images < ground.count("train")):
        # The run itself is the point of all training pictures.
        whole = best.right[ground.where(SPLIT)]
        per_class = int(np.bincount(ground.labels[ground.where("train")]).max())
        points.append(_judge(per_class, ground.count("train"), whole[None], ground))
        right.append(whole.astype(np.float64))
    if not points:
        return None
    return LearningCurve(best.run.id, head, record["inputs"], tuple(points), _find_gain(points, right, ground))


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
    orders = [np.random.default_rng([seed, draw]).permutation(len(labels)) for draw in range(DRAWS)]
    draws = [
        [_choose(labels, order, size) for order in orders[: 1 if size == counts.max() else DRAWS]] for size in sizes
    ]
    record = HEADS[head]
    wanted = np.unique(np.concatenate([np.empty(0, np.intp), *(each for chosen in draws for each in chosen)]))
    X, X_judged = ground.read(wanted), ground.read(judged)
    # What was not chosen yet is chosen as in training, by validation.
    is_open = record.strength is not None and settings[record.strength] is None
    validation = (X_judged, ground.labels[judged]) if is_open else None
    told, means = [], np.zeros((len(sizes), len(judged)))
    for place, (size, chosen) in enumerate(zip(sizes, draws, strict=True)):
        right = []
        for number, positions in enumerate(chosen):
            trained = record.make(settings, seed=seed + number)
            trained.fit(X[np.searchsorted(wanted, positions)], labels[positions], validation=validation)
            says = np.asarray(trained.classes_)[scores_of(trained, X_judged)[0].argmax(axis=1)]
            right.append(says == ground.labels[judged])
        means[place] = np.mean(right, axis=0)
        told.append(asdict(_judge(size, len(chosen[0]), np.array(right), ground)))
    return Result({"points": told}, {"right": means})


def _choose(labels: NDArray[np.int32], order: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return the first `size` of each class in some order, rising."""
    ranked = order[np.argsort(labels[order], kind="stable")]
    start = np.searchsorted(labels[ranked], labels[ranked])
    return np.sort(ranked[np.arange(len(ranked)) - start < size])


def _judge(per_class: int, images: int, right: NDArray[np.bool_], ground: Ground) -> Point:
    """Return the point of some draws, which are right as in `right` (draws, n) on the validation pictures."""
    seeds = separate_seeds(right, groups=ground.grouping(SPLIT))
    return Point(per_class, images, len(right), seeds.mean, seeds.interval)


def _find_gain(points: Sequence[Point], right: Sequence[NDArray[np.float64]], ground: Ground) -> LastGain | None:
    """Compare the last point with the last that has at most half of its pictures, picture by picture."""
    before = [at for at, point in enumerate(points) if 2 * point.images <= points[-1].images]
    if not before:
        return None
    differences = right[-1] - right[before[-1]]
    interval = mean_of_values(differences, Sampling.of(len(differences), ground.grouping(SPLIT)))
    return None if interval is None else LastGain(points[before[-1]].images, float(differences.mean()), interval)


def _read_point(values: dict[str, Any]) -> Point:
    point = Point(**values)
    return replace(point, interval=(point.interval[0], point.interval[1]))
