"""The run that a fine-tuning starts from, and all that it stands on: head, features, pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...cache.features import FeatureSet
from ...cache.runs import Run
from ...cache.store import FeatureStore
from ...models.backbones.taps import Tap
from ...models.networks.folding import probabilities_of
from ..datasets.examples import choose_examples
from ..deployment.classifier import find_sets
from ..errors import InvalidRequest, OtherNumbers
from ..extraction.reopening import request_of
from ..extraction.request import Request
from ..progress import Progress
from ..runs.choosing import choose_run
from ..runs.inputs import Inputs
from ..runs.rendering import command_of
from ..runs.tuning import FINE_TUNED
from ..training.ground import Ground
from .material import Sight

TOLERANCE = 5e-3
"""Of probabilities, by which two ways to compute the same network may differ: engines agree to 1e-4 in features."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A trained head, with its features and their pictures."""

    run: Run
    features: FeatureSet
    sight: Sight
    ground: Ground
    request: Request
    """That the features answer."""

    @property
    def head(self) -> Path:
        """The head that was trained on training pictures alone."""
        record = self.run.record
        return self.run.folder / str(record.get("selection_file") or record["head_file"])

    @property
    def tap(self) -> Tap:
        """Of the features."""
        return Tap(self.features.recipe.layer, self.features.recipe.pooling)

    @property
    def weights(self) -> NDArray[np.float32]:
        """(n,) by which losses are multiplied: classes weigh alike where they do for the head, on average 1."""
        labels, splits = self.ground.labels, self.ground.splits
        if not self.run.record["settings"].get("balanced"):
            return np.ones(len(labels), dtype=np.float32)
        weights = np.zeros(len(labels), dtype=np.float32)
        for split in np.unique(splits):
            own = splits == split
            counts = np.bincount(labels[own])
            weights[own] = own.sum() / (np.count_nonzero(counts) * counts[labels[own]])
        return weights

    def probabilities(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return what the head says of some examples by their cached features, shape (n, c)."""
        return probabilities_of(self.head, self.ground.read(rows))


def find_parent(store: FeatureStore, name: str, *, dataset: str | None, progress: Progress) -> Parent:
    """Return a run to start from; see `choose_run` for names.

    Raises
    ------
    InvalidRequest
        No network can be trained from it, or it is of an earlier state of the data set.
    UnknownRun, UnknownFeatures, UnknownDataset
        See `choose_run` and `find_sets`.
    """
    run = choose_run(store, name, dataset=dataset, heads_only=True, progress=progress)
    record = run.record
    if record["head"] == FINE_TUNED:
        raise InvalidRequest(
            f"{run.id} is fine-tuned already: start from its head, --run {record['parent']}, with other settings"
        )
    [sets, *_] = find_sets(run, store)
    if len(sets) > 1:
        raise InvalidRequest(
            f"{run.id} joins {len(sets)} backbones, and one network at a time can be fine-tuned: "
            "name a run of one backbone with --run"
        )
    [features] = sets
    if features.recipe.precision != "float32":
        raise InvalidRequest(
            f"{run.id} is of features in {features.recipe.precision}, and fine-tuning is in float32: "
            "extract them in --precision float32 and train the head on those"
        )
    table = store.find_dataset(record["dataset"])
    examples = choose_examples(table, features.keys, store)
    if examples.digest != record["examples_digest"]:
        raise InvalidRequest(
            f"{run.id} is of an earlier state of the data set {table.name}: train its head again with "
            f"{command_of(record, store=store.folder)}, and fine-tune that"
        )
    sight = Sight(table, examples, features.recipe)
    ground = Ground.of(Inputs(((features,),), dataset=table.name), examples)
    return Parent(run, features, sight, ground, request_of(store, features, progress))


def check_agreement(one: NDArray[np.floating], other: NDArray[np.floating], told: str) -> None:
    """See that two ways to compute probabilities (n, c) agree.

    Parameters
    ----------
    told : str
        Which two, and what to do where they do not.

    Raises
    ------
    OtherNumbers
        They differ by more than `TOLERANCE`.
    """
    difference = float(np.abs(one - other).max(initial=0.0))
    # Also where it is not a number.
    if not difference <= TOLERANCE:
        fact, _, remedy = told.partition(": ")
        raise OtherNumbers(
            f"{fact}: probabilities differ by {difference:.3g}, expected at most {TOLERANCE:g}; {remedy}"
        )
