"""A run ready to predict: its own head or network, its own class list, calibrated probabilities.

The classes are the run's, in its order, and are never derived again. Pictures come to the network by the
recipe that the head was trained with, so nothing about them can be set here.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...cache.errors import CacheError, DamagedFile, UnknownFeatures
from ...cache.features import FeatureSet
from ...cache.part import keys_from_array
from ...cache.runs import Predictions, Run
from ...cache.store import FeatureStore
from ...models.heads.temperature import calibrate, fit_temperature
from ..errors import InvalidRequest, UnreadableImage
from ..extraction.supply import Pixels
from ..pictures.feed import Frame
from ..pictures.images import MAX_PIXELS, ReadingPolicy
from ..progress import SILENT, Progress
from ..runs.choosing import BEST, choose_run
from ..runs.inputs import JOINT
from .scoring import HeadScorer, NetworkScorer, Scorer, Scores

_ARRAYS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class FileScores:
    """What a head makes of one file."""

    path: str
    probabilities: NDArray[np.float64] | None
    """(c,) calibrated, in the order of the classes; None where the picture cannot be read."""
    reason: str
    """Why not."""
    learned: bool
    """Whether the run was trained on this picture, or chosen by it."""


@dataclass(frozen=True, slots=True)
class Held:
    """What heads say of pictures that they have not seen: validation pictures, and in folds training pictures, too.

    Test pictures are not among them.
    """

    probabilities: NDArray[np.float64]
    """(n, c) calibrated."""
    labels: NDArray[np.int32]
    """(n,) position of the true class."""


class Classifier:
    """A trained run as a classifier of pictures.

    Parameters
    ----------
    run : Run
    store : FeatureStore
        Where its features are, and where those of predicted pictures go.
    max_pixels : int
        Larger pictures are refused.
    progress : Progress

    Attributes
    ----------
    classes_ : ndarray of shape (c,), str
        The class names, in the order of the probabilities.
    temperature : float
        By which scores are divided before the softmax; 1 leaves them as they are.
    """

    def __init__(
        self, run: Run, store: FeatureStore, *, max_pixels: int = MAX_PIXELS, progress: Progress = SILENT
    ) -> None:
        self.run = run
        self.classes_: NDArray[np.str_] = np.array(run.record["classes"], dtype=np.str_)
        self._progress = progress
        views, file = find_sets(run, store), run.folder / run.record["head_file"]
        self._scorer: Scorer
        if is_network(run):
            self._scorer = NetworkScorer(file, views[0][0].recipe, max_pixels=max_pixels)
        else:
            self._scorer = HeadScorer(file, store, views, max_pixels=max_pixels, progress=progress)
        self.temperature = self._settle_temperature()

    @classmethod
    def load(
        cls,
        run: str = BEST,
        *,
        store: str | Path = "bottlenecks",
        results: str | Path | None = None,
        dataset: str | None = None,
        max_pixels: int = MAX_PIXELS,
        progress: Progress = SILENT,
    ) -> Self:
        """Return the classifier of a run.

        Parameters
        ----------
        run : str
            Its id, the beginning of it, or `best`: the best of the data set by validation.
        store : path
            Folder that keeps everything.
        results : path, optional
            Folder of the run, where it is not in the store.
        dataset : str, optional
            Whose best run; needed only where the store holds several.
        max_pixels : int
            Larger pictures are refused.
        progress : Progress

        Raises
        ------
        UnknownRun, UnknownDataset, UnknownFeatures
            What was asked for, or what it stands on, is not there; the message says what is.
        BadWeights, DamagedFile
            A file of the run is damaged.
        """
        kept = FeatureStore(store, results)
        chosen = choose_run(kept, run, dataset=dataset, progress=progress)
        return cls(chosen, kept, max_pixels=max_pixels, progress=progress)

    def predict(self, images: Sequence[str | Path] | Sequence[Pixels] | Pixels) -> NDArray[np.str_]:
        """Return the class of each picture, shape (n,); see `predict_proba`."""
        return np.asarray(self.classes_[self.predict_proba(images).argmax(axis=1)])

    def predict_proba(self, images: Sequence[str | Path] | Sequence[Pixels] | Pixels) -> NDArray[np.float64]:
        """Return calibrated probabilities of shape (n, c), in the order of `classes_`.

        Parameters
        ----------
        images : sequence of paths, ndarray of shape (n, h, w, 3), or sequence of ndarrays of shape (h, w, 3)
            Files, whose features are kept in the store; or RGB pixels, uint8 in 0..255, of any size, which go through
            the same resize and are not kept.

        Raises
        ------
        UnreadableImage
            A file cannot be read; the message names it.
        InvalidRequest
            An array is something else.
        """
        if isinstance(images, str | Path):
            raise InvalidRequest(f"expected a sequence of pictures, found one path: write [{str(images)!r}]")
        several = list(images)
        if several and isinstance(several[0], str | Path):
            rows = list(self._demand(map(str, several)))
        else:
            _check_arrays(several)
            starts = range(0, len(several), _ARRAYS_AT_ONCE)
            blocks = [self._scorer.score_arrays(several[start : start + _ARRAYS_AT_ONCE]) for start in starts]
            rows = [row for scores in blocks for row in self._calibrate(scores)]
        return np.stack(rows) if rows else np.empty((0, len(self.classes_)))

    def judge(self, paths: Iterable[str]) -> Generator[FileScores]:
        """Yield what becomes of each file, in order; memory is bounded whatever their number."""
        rest = iter(paths)
        with self._scorer.working():
            while chunk := list(islice(rest, self._scorer.at_once)):
                scored = self._scorer.score_files(chunk)
                judged: dict[str, NDArray[np.float64]] = {}
                if scored.scores:
                    rows = self._calibrate(np.stack(list(scored.scores.values())))
                    judged = dict(zip(scored.scores, rows, strict=True))
                for path in chunk:
                    learned = scored.keys.get(path) in self._learned
                    yield FileScores(path, judged.get(path), scored.reasons.get(path, ""), learned)

    @property
    def seen(self) -> tuple[Frame, ReadingPolicy]:
        """How pictures come to the network, or to the first of several."""
        return self._scorer.seen

    @cached_property
    def held_out(self) -> Held:
        """Pictures by which thresholds are found."""
        stored, scores, labels = self._read_unseen()
        # A run with a temperature keeps its predictions calibrated.
        if self.run.record["temperature"] is None:
            scores = calibrate(scores, self.temperature, are_probabilities=stored.are_probabilities)
        return Held(scores, labels)

    @cached_property
    def _learned(self) -> frozenset[bytes]:
        """Keys of the training and validation pictures."""
        stored = self.run.predictions
        return frozenset(keys_from_array(stored.keys[stored.splits <= 1]))

    def _settle_temperature(self) -> float:
        """Return the run's temperature, or the one that its predictions of pictures not seen ask for."""
        if (kept := self.run.record["temperature"]) is not None:
            return float(kept)
        stored, scores, labels = self._read_unseen()
        if not len(labels):
            self._progress.warn(
                f"{self.run.id} has no validation pictures to calibrate its probabilities with: they are as the head "
                "gives them"
            )
            return 1.0
        temperature = fit_temperature(scores, labels, are_probabilities=stored.are_probabilities)
        which = "pictures that folds left out" if stored.out_of_fold else "validation pictures"
        self._progress.say(
            f"probabilities are calibrated on the {len(labels):,} {which} of {self.run.id}: temperature "
            f"{temperature:.3g}"
        )
        return temperature

    def _read_unseen(self) -> tuple[Predictions, Scores, NDArray[np.int32]]:
        """Return the stored predictions, and scores and labels of the pictures that a head had not seen."""
        stored = self.run.predictions
        return stored, stored.scores[stored.honest].astype(np.float64), stored.labels[stored.honest]

    def _demand(self, paths: Iterable[str]) -> Iterator[NDArray[np.float64]]:
        # Closed at once where it ends early: what was made is stored then.
        with closing(self.judge(paths)) as every:
            for judged in every:
                if judged.probabilities is None:
                    raise UnreadableImage(f"cannot predict {judged.path}: {judged.reason}; expected a picture")
                yield judged.probabilities

    def _calibrate(self, scores: Scores) -> NDArray[np.float64]:
        """Return probabilities from scores, both of shape (n, c)."""
        if scores.shape[1] != len(self.classes_):
            raise DamagedFile(
                f"{self.run.folder} is damaged: its head tells {scores.shape[1]} classes apart, run.json names "
                f"{len(self.classes_)}; train it again with --force"
            )
        return calibrate(scores, self.temperature, are_probabilities=self._scorer.are_probabilities)


def is_network(run: Run) -> bool:
    """Return whether a run is a whole network that was fine-tuned, rather than a head on features."""
    return "parent" in run.record


def find_sets(run: Run, store: FeatureStore) -> tuple[tuple[FeatureSet, ...], ...]:
    """Return the feature sets that a run sees, per view that it judges by: view 0, and the others with `--tta`.

    Raises
    ------
    UnknownFeatures
        The store does not hold them any more.
    """
    record: dict[str, Any] = run.record
    found = store.survey()
    sets = {each.digest: each for _, each in found if isinstance(each, FeatureSet)}
    chosen = []
    for digest in record["features_digest"].split(JOINT):
        if digest not in sets:
            for folder, error in found:
                if folder.name.endswith(digest[:12]) and isinstance(error, CacheError):
                    raise error
            raise UnknownFeatures(
                f"{run.id} was trained on the features {digest[:12]} of {record['backbone']}, which {store.folder} "
                f"does not hold any more: run extract-features --backbone NAME with the options of then, "
                "or train a new run"
            )
        chosen.append(sets[digest])
    first = tuple(chosen)
    further = range(1, record["views"]) if record["tta"] else ()
    views = [
        tuple(store.feature_set(each.recipe.of_view(number, record["augment"])) for each in first) for number in further
    ]
    return (first, *views)


def _check_arrays(pictures: Sequence[Any]) -> None:
    for number, each in enumerate(pictures):
        if not isinstance(each, np.ndarray) or each.dtype != np.uint8 or each.ndim != 3 or each.shape[2] != 3:
            found = f"{each.shape} {each.dtype}" if isinstance(each, np.ndarray) else type(each).__name__
            raise InvalidRequest(
                f"picture {number} is {found}: expected paths, or arrays of shape (h, w, 3), uint8, RGB in 0..255"
            )
        if not each.size:
            raise InvalidRequest(f"picture {number} is of shape {each.shape}: expected at least one pixel")
