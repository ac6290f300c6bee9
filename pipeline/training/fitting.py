"""How the two heads of a run come about, and which of them says what.

The selection head is trained on the training split alone, so what it says of validation pictures is
honest: every validation number, every choice, every threshold comes from it. The head that is put to
use is trained once more, with what was chosen, on training and validation pictures together; it has
seen validation, so all that it is asked is the test split. With folds, pictures of both splits are
predicted by heads that have not seen them or others of their group.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...models.errors import UnsuitableRows
from ...models.heads.estimator import Head, score_rows
from ...models.heads.folds import assign_folds
from ...models.heads.heads import HeadRecord
from ...models.solvers.streaming import Matrix, cut
from .ground import Ground

FOLDS = 5
"""So many where there are no validation pictures to choose with."""
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What heads learn from: training and validation pictures, the training ones first.

    All of it is one matrix, of which each kind of rows is a stretch (see `gathering`).
    """

    X: Matrix
    """(views * trained + n, d): further views of the training pictures, view after view, then the pictures."""
    labels: NDArray[np.int32]
    """(n,)."""
    groups: NDArray[np.int64]
    """(n,) pictures with one number stay together."""
    trained: int
    """How many are of the training split."""
    views: int = 0
    """How many further ones there are."""

    @classmethod
    def of(cls, ground: Ground, X: Matrix) -> Self:
        """Return what is learned on a ground from the features of all its pictures, test pictures last."""
        trained, seen = ground.where("train").stop, ground.where("validation").stop
        groups = np.arange(seen) if ground.groups is None else ground.groups[:seen]
        views = len(ground.inputs.views) - 1
        return cls(cut(X, slice(0, views * trained + seen)), ground.labels[:seen], groups, trained, views)

    @property
    def first(self) -> int:
        """Row of the first picture."""
        return self.views * self.trained

    @property
    def pictures(self) -> Matrix:
        """Features of the pictures themselves, (n, d)."""
        return cut(self.X, slice(self.first, None))

    @property
    def validation(self) -> tuple[Matrix, NDArray[np.int32]] | None:
        """Features and labels of the validation split; None where it is empty."""
        if self.trained == len(self.labels):
            return None
        return cut(self.X, slice(self.first + self.trained, None)), self.labels[self.trained :]

    @property
    def training(self) -> tuple[Matrix, NDArray[np.int32]]:
        """Features and labels of the training split, views included."""
        rows = self.first + self.trained
        return cut(self.X, slice(0, rows)), self.spread(self.labels)[:rows]

    @property
    def everything(self) -> tuple[Matrix, NDArray[np.int32]]:
        """Features and labels of both splits, views included."""
        return self.X, self.spread(self.labels)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return for each row what is given for its picture, (n,)."""
        return np.concatenate([*[values[: self.trained]] * self.views, values])


@dataclass(frozen=True, slots=True)
class Fitted:
    """The heads of a run."""

    head: Head
    """To be used; the selection head itself where nothing was refit."""
    selection: Head
    held_out: Doubles | None
    """Scores (n, c) of all pictures by heads that have not seen them, where there were folds."""
    facts: dict[str, Any]
    warnings: tuple[str, ...]


def choose_folds(
    record: HeadRecord, settings: dict[str, Any], material: Material, *, seed: int, asked: int | None
) -> tuple[int | None, list[str]]:
    """Return by how many folds is chosen, if by any, and what is to be said of it.

    Those that are asked for are taken. Where there are no validation pictures, a head whose strength is to be
    found has `FOLDS`, if they can be had.
    """
    if asked is not None or material.validation is not None:
        return asked, []
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


def fit_heads(
    record: HeadRecord, settings: dict[str, Any], material: Material, *, seed: int, refit: bool, folds: int | None
) -> Fitted:
    """Return both heads.

    Parameters
    ----------
    record : HeadRecord
    settings : dict
        Of the head, complete.
    material : Material
    seed : int
        Of training and of folds.
    refit : bool
        Train the head that is used on validation pictures as well.
    folds : int, optional
        Choose by so many folds of training and validation pictures instead of by the validation split.

    Raises
    ------
    UnsuitableRows, UnsuitableSetting
        The features cannot be learned from; a setting has no such value.
    """
    assigned = None if folds is None else assign_folds(material.labels, material.groups, folds, seed=seed)
    held_out = None
    if assigned is not None and record.strength:
        search: Any = record.make(settings, seed=seed)
        judged = np.arange(len(material.X)) >= material.first
        search.fit(*material.everything, folds=material.spread(assigned), judged=judged)
        held_out = search.held_out_scores_[material.first :]
        settled = {**settings, **search.chosen_}
        selection = record.make(settled, seed=seed).fit(*material.training)
        head = search if refit else selection
        return Fitted(head, selection, held_out, search.facts_, tuple(search.warnings_))
    first = record.make(settings, seed=seed).fit(*material.training, validation=material.validation)
    settled = {**settings, **first.chosen_}
    if assigned is not None:
        held_out = np.empty((len(assigned), len(first.classes_)))
        for fold in range(int(assigned.max()) + 1):
            apart = np.flatnonzero(assigned == fold)
            counts = material.spread(assigned != fold).astype(np.float64)
            other = record.make(settled, seed=seed).fit(*material.everything, sample_weight=counts)
            scores = score_rows(other, material.pictures, apart)
            # A class all of whose pictures are in this fold was not learned.
            held_out[apart] = scores.min() - 1 if not scores_are_probabilities(other) else 0
            held_out[np.ix_(apart, np.searchsorted(first.classes_, other.classes_))] = scores
    head = first
    if refit and material.validation is not None:
        head = record.make(settled, seed=seed).fit(*material.everything)
    return Fitted(head, first, held_out, first.facts_, tuple(first.warnings_))


def scores_are_probabilities(head: Head) -> bool:
    """Say whether a head gives probabilities."""
    return hasattr(head, "predict_proba")
