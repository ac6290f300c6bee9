"""The command `predict`: pictures to classes with calibrated probabilities, one after the other, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.store import FeatureStore
from ..errors import InvalidRequest
from ..pictures.images import MAX_PIXELS
from ..progress import SILENT, Progress
from ..runs.choosing import BEST
from ..statistics.rejection import Threshold, find_threshold, judge_threshold
from .classifier import Classifier, FileScores
from .named_pictures import Pictures, list_pictures

DIGITS = 6
"""Of probabilities that are written."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run says of one picture."""

    path: str
    """As it was named."""
    label: str | None
    """Name of the class; None where the picture could not be read, or is rejected."""
    probability: float | None
    """Of the most probable class, calibrated; None where the picture could not be read."""
    top: tuple[tuple[str, float], ...]
    """The most probable classes, the first first, with their probabilities; empty where it could not be read."""
    reason: str | None
    """Why there is no class; None where there is one."""
    learned: bool = False
    """Whether the run was trained on this picture, or chosen by it."""

    @property
    def rejected(self) -> bool:
        """Whether the picture was read and no class is probable enough."""
        return self.label is None and self.probability is not None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of a picture; the last digits of a probability hang on who shares its batch."""
        top = [{"class": label, "probability": round(probability, DIGITS)} for label, probability in self.top]
        return {
            "path": self.path,
            "class": self.label,
            "probability": top[0]["probability"] if top else None,
            "top": top,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class PredictionStream:
    """Predictions on their way; to be iterated over once."""

    classifier: Classifier
    pictures: Pictures
    top: int
    threshold: Threshold | None
    """None where nothing is rejected."""

    @property
    def images(self) -> int:
        """How many pictures were named."""
        return len(self.pictures.paths) + len(self.pictures.skipped)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield a prediction per picture, in the order in which they were named; what cannot be opened comes last."""
        for judged in self.classifier.judge(self.pictures.paths):
            yield self._predict(judged)
        for each in self.pictures.skipped:
            yield Prediction(each.path, None, None, (), each.reason)

    def _predict(self, judged: FileScores) -> Prediction:
        if judged.probabilities is None:
            return Prediction(judged.path, None, None, (), judged.reason)
        # Stable, so that of equal classes the first one stands first, as with the head itself.
        order = np.argsort(-judged.probabilities, kind="stable")[: self.top]
        top = tuple((str(self.classifier.classes_[code]), float(judged.probabilities[code])) for code in order)
        label: str | None
        (label, probability), reason = top[0], None
        if self.threshold is not None and probability < self.threshold.probability:
            label, reason = None, f"rejected, its probability is below {self.threshold.probability:.4g}"
        return Prediction(judged.path, label, probability, top, reason, judged.learned)


def predict(
    images: str | Path | Sequence[str | Path],
    *,
    run: str = BEST,
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    top: int = 1,
    reject_below: float | None = None,
    precision: float | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = SILENT,
) -> PredictionStream:
    """Return predictions of some pictures; they are made while they are iterated over.

    Parameters
    ----------
    images : path, or sequence of paths
        Files, folders, `.csv` tables with a column path, `.txt` lists with a path a line; see `list_pictures`.
    run : str
        Id of the run, the beginning of it, or `best`: the best of the data set by validation.
    store : path
        Folder that keeps everything; the features of the pictures go there, too.
    results : path, optional
        Folder of the run, where it is not in the store.
    dataset : str, optional
        Whose best run; needed only where the store holds several.
    top : int
        Most probable classes per picture.
    reject_below : float, optional
        Pictures whose most probable class is less probable get no class.
    precision : float, optional
        Instead, the least such threshold at which so great a share of the validation predictions is right.
    max_pixels : int
        Larger pictures are refused.
    progress : Progress

    Raises
    ------
    NoImages
        Nothing of that name is there, or there is no picture in it.
    InvalidRequest
        A setting makes no sense, or no threshold gives the precision.
    UnknownRun, UnknownDataset, UnknownFeatures, BadWeights, DamagedFile
        See `Classifier.load`.
    """
    if top < 1:
        raise InvalidRequest(f"the {top} most probable classes are asked for: expected 1 or more")
    if reject_below is not None and precision is not None:
        raise InvalidRequest("--reject-below and --precision exclude one another: give one of them")
    for name, value in {"--reject-below": reject_below, "--precision": precision}.items():
        if value is not None and not 0 <= value <= 1:
            raise InvalidRequest(f"expected a share from 0 to 1, found {name} {value:g}")
    sources = [images] if isinstance(images, str | Path) else list(images)
    pictures = list_pictures(sources, leave_out=FeatureStore(store).folder)
    classifier = Classifier.load(
        run, store=store, results=results, dataset=dataset, max_pixels=max_pixels, progress=progress
    )
    threshold = _choose_threshold(classifier, reject_below, precision)
    if threshold is not None:
        progress.say(str(threshold))
    return PredictionStream(classifier, pictures, min(top, len(classifier.classes_)), threshold)


def _choose_threshold(classifier: Classifier, reject_below: float | None, precision: float | None) -> Threshold | None:
    if reject_below is None and precision is None:
        return None
    held = classifier.held_out
    confidence = held.probabilities.max(axis=1, initial=0.0)
    right = held.probabilities.argmax(axis=1) == held.labels
    if precision is not None:
        return find_threshold(precision, confidence, right)
    assert reject_below is not None
    return judge_threshold(reject_below, confidence, right)
