"""How the two heads of a run come about, and which of them says what.

The selection head is trained on the training split alone, so what it says of validation pictures is
honest: every validation number, every choice, every threshold comes from it. The head that is put to
use is trained once more, with what was chosen, on training and validation pictures together; it has
seen validation, so all that it is asked is the test split. With folds, pictures of both splits are
predicted by heads that have not seen them or others of their group.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models.estimator import Head, scores_of
from ..models.folds import assign_folds
from ..models.heads import HeadRecord

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What heads learn from: training and validation pictures, the training ones first."""

    X: Floats
    """(n, d) features in view 0."""
    labels: NDArray[np.int32]
    """(n,)."""
    groups: NDArray[np.int64]
    """(n,) pictures with one number stay together."""
    trained: int
    """How many are of the training split."""
    views: tuple[Floats, ...] = ()
    """Of the training pictures, (trained, d) each."""

    @property
    def validation(self) -> tuple[Floats, NDArray[np.int32]] | None:
        """Features and labels of the validation split; None where it is empty."""
        if self.trained == len(self.X):
            return None
        return self.X[self.trained :], self.labels[self.trained :]

    def pool(self, chosen: NDArray[np.bool_] | None = None) -> tuple[Floats, NDArray[np.int32]]:
        """Return features and labels of chosen pictures, all by default, with the views of those that have some."""
        chosen = np.ones(len(self.X), dtype=bool) if chosen is None else chosen
        training = chosen[: self.trained]
        if not self.views:
            return (self.X, self.labels) if chosen.all() else (self.X[chosen], self.labels[chosen])
        X = np.concatenate([self.X[chosen], *(view[training] for view in self.views)])
        return X, np.concatenate([self.labels[chosen], *[self.labels[: self.trained][training]] * len(self.views)])

    @property
    def training(self) -> tuple[Floats, NDArray[np.int32]]:
        """Features and labels of the training split, views included."""
        return self.pool(np.arange(len(self.X)) < self.trained)


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
        pictures = len(material.X)
        views = [assigned[: material.trained]] * len(material.views)
        spread = np.concatenate([assigned, *views])
        search.fit(*material.pool(), folds=spread, judged=np.arange(len(spread)) < pictures)
        held_out = search.held_out_scores_[:pictures]
        settled = {**settings, **search.chosen_}
        selection = record.make(settled, seed=seed).fit(*material.training)
        head = search if refit else selection
        return Fitted(head, selection, held_out, search.facts_, tuple(search.warnings_))
    first = record.make(settings, seed=seed).fit(*material.training, validation=material.validation)
    settled = {**settings, **first.chosen_}
    if assigned is not None:
        held_out = np.empty((len(material.X), len(first.classes_)))
        for fold in range(int(assigned.max()) + 1):
            apart = assigned == fold
            other = record.make(settled, seed=seed).fit(*material.pool(~apart))
            scores = scores_of(other, material.X[apart])[0]
            # A class all of whose pictures are in this fold was not learned.
            held_out[apart] = scores.min() - 1 if not scores_are_probabilities(other) else 0
            held_out[np.ix_(apart, np.searchsorted(first.classes_, other.classes_))] = scores
    head = first
    if refit and material.validation is not None:
        head = record.make(settled, seed=seed).fit(*material.pool())
    return Fitted(head, first, held_out, first.facts_, tuple(first.warnings_))


def scores_are_probabilities(head: Head) -> bool:
    """Say whether a head gives probabilities."""
    return hasattr(head, "predict_proba")
