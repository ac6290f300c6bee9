"""Which pictures the report shows: a sample, the worst mistakes, the most confused pairs, the least sure.

The sample is drawn by key, which is a digest of the picture's bytes: as good as by lot, and always the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...cache.part import Key, keys_from_array
from ...cache.runs import Predictions

SAMPLE = 60
MISTAKES = 24
UNSURE = 24
PAIRS, PER_PAIR = 6, 6


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture and what a run says of it."""

    key: Key
    label: int
    """Position of its class."""
    truth: str
    """Its class."""
    predicted: str
    probability: float | None
    """Of the predicted class, 0..1; None where the head gives none."""
    own: float | None
    """Of its own class, 0..1; None where the head gives none."""

    @property
    def is_right(self) -> bool:
        """Whether the predicted class is its own."""
        return self.truth == self.predicted


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Pictures of one class that are taken for another."""

    truth: str
    predicted: str
    count: int
    support: int
    """How many pictures the true class has."""
    pictures: tuple[Shown, ...]
    """The surest mistakes first."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The pictures that are worth a look."""

    sample: tuple[Shown, ...]
    """As many of each class as there are, in turn."""
    mistakes: tuple[Shown, ...]
    """The surest first."""
    errors: int
    """How many mistakes there are in all."""
    pairs: tuple[ConfusedPair, ...]
    """The most frequent first."""
    unsure: tuple[Shown, ...]
    """Those where the two best classes are closest."""

    @property
    def keys(self) -> set[Key]:
        """Keys of all pictures."""
        pairs = (picture for pair in self.pairs for picture in pair.pictures)
        return {each.key for each in (*self.sample, *self.mistakes, *self.unsure, *pairs)}


def choose_judged(predictions: Predictions, split: int | None = None) -> Predictions:
    """Return the predictions of one split, by its position in `SPLITS`, ordered by key; by default of the last."""
    chosen = np.flatnonzero(predictions.splits == (predictions.splits.max() if split is None else split))
    chosen = chosen[np.argsort(predictions.keys[chosen], kind="stable")]
    names = ("keys", "labels", "splits", "predicted", "scores")
    return replace(predictions, **{name: getattr(predictions, name)[chosen] for name in names})


def choose_pictures(predictions: Predictions, classes: Sequence[str]) -> Gallery:
    """Return what to show of some predictions.

    Parameters
    ----------
    predictions : Predictions
        Ordered by key; of a picture at least, with probabilities or decision values.
    classes : sequence of str, length c
    """
    labels, predicted = predictions.labels, predictions.predicted
    scores = predictions.scores.astype(np.float64)
    rows = np.arange(len(labels))
    claimed, own = scores[rows, predicted], scores[rows, labels]
    keys = keys_from_array(predictions.keys)

    def show(where: NDArray[np.intp]) -> tuple[Shown, ...]:
        return tuple(
            Shown(
                key=keys[i],
                label=int(labels[i]),
                truth=classes[labels[i]],
                predicted=classes[predicted[i]],
                probability=float(claimed[i]) if predictions.are_probabilities else None,
                own=float(own[i]) if predictions.are_probabilities else None,
            )
            for i in where
        )

    wrong = np.flatnonzero(labels != predicted)
    worst = wrong[np.argsort((own - claimed)[wrong], kind="stable")]
    best_two = np.partition(scores, -2, axis=1)[:, -2:]
    return Gallery(
        sample=show(_in_turn(labels)[:SAMPLE]),
        mistakes=show(worst[:MISTAKES]),
        errors=len(wrong),
        pairs=tuple(
            ConfusedPair(
                truth=classes[truth],
                predicted=classes[taken],
                count=count,
                support=int((labels == truth).sum()),
                pictures=show(worst[(labels[worst] == truth) & (predicted[worst] == taken)][:PER_PAIR]),
            )
            for truth, taken, count in _count_pairs(labels[wrong], predicted[wrong])[:PAIRS]
        ),
        unsure=show(np.argsort(best_two[:, 1] - best_two[:, 0], kind="stable")[:UNSURE]),
    )


def _in_turn(labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return all positions: the first of each class, then the second of each, and so on."""
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class])
    turn = np.empty(len(labels), dtype=np.intp)
    turn[by_class] = np.arange(len(labels)) - starts
    # Within a turn by key, so that the classes are mixed.
    return np.argsort(turn, kind="stable")


def _count_pairs(labels: NDArray[np.int32], predicted: NDArray[np.int32]) -> list[tuple[int, int, int]]:
    """Return true class, predicted class and count, the most frequent first."""
    pairs, counts = np.unique(np.stack([labels, predicted], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]
