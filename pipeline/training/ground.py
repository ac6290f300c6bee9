"""The ground that runs stand on: features, and the pictures that heads learn from and are judged by.

Pictures are in one order, by split and then by key, so that a split is a stretch of whatever is known of them.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.part import keys_from_array, keys_to_array
from ...cache.runs import Predictions
from ...cache.table import SPLITS
from ..datasets.examples import Examples
from ..runs.inputs import Inputs
from ..statistics.evaluation import Metrics, evaluate
from ..statistics.pairs import Judged


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Features, and the pictures that heads learn from and are judged by on them."""

    inputs: Inputs
    examples: Examples
    digest: str
    """Of the examples."""
    keys: NDArray[np.bytes_]
    """(n,) S32, by split and then by key."""
    labels: NDArray[np.int32]
    """(n,) position of each true class."""
    splits: NDArray[np.uint8]
    """(n,) position in `SPLITS`, rising."""
    groups: NDArray[np.int64] | None
    """(n,) or None where nothing is grouped."""

    @classmethod
    def of(cls, inputs: Inputs, examples: Examples) -> "Ground":
        """Return the ground of some examples."""
        keys = keys_to_array([row.key for row in examples.rows])
        return cls(inputs, examples, examples.digest, keys, examples.labels, examples.splits, examples.groups)

    @property
    def identity(self) -> dict[str, Any]:
        """What results on this ground hang on, as plain JSON values."""
        return {"features": self.inputs.digest, **self.pictures}

    @property
    def pictures(self) -> dict[str, Any]:
        """The same of results that saw no features; groups are no part of the digest of the examples."""
        grouped = None if self.groups is None else hashlib.sha256(self.groups.tobytes()).hexdigest()
        return {"examples": self.digest, "groups": grouped}

    def where(self, split: str) -> slice:
        """Return where the pictures of a split are."""
        start, stop = np.searchsorted(self.splits, [SPLITS.index(split), SPLITS.index(split) + 1])
        return slice(int(start), int(stop))

    def count(self, split: str) -> int:
        """Return how many pictures a split has."""
        return int(np.count_nonzero(self.splits == SPLITS.index(split)))

    def read(self, positions: NDArray[np.intp] | slice, view: int = 0) -> NDArray[np.float32]:
        """Return the features of some pictures, shape (m, d), float32."""
        return self.inputs.read(keys_from_array(self.keys[positions]), view)

    def grouping(self, split: str) -> NDArray[np.int64] | None:
        """Return the group of each picture of a split; None where nothing is grouped."""
        return None if self.groups is None else self.groups[self.where(split)]

    def evaluate(self, part: slice, scores: NDArray[np.float64], *, are_probabilities: bool) -> Metrics:
        """Return the metrics of scores (m, c) of some pictures."""
        groups = None if self.groups is None else self.groups[part]
        return evaluate(self.labels[part], scores, are_probabilities=are_probabilities, groups=groups)

    def predictions(
        self, scores: NDArray[np.float64], *, are_probabilities: bool, out_of_fold: bool = False
    ) -> Predictions:
        """Return what a run keeps of scores (n, c) of all pictures."""
        return Predictions(
            keys=self.keys,
            labels=self.labels,
            splits=self.splits,
            predicted=scores.argmax(axis=1).astype(np.int32),
            scores=scores.astype(np.float32),
            are_probabilities=are_probabilities,
            out_of_fold=out_of_fold,
        )

    def judged(self, name: str, right: NDArray[np.bool_], split: str, settings: str | None = None) -> Judged:
        """Return what somebody has right of a split, from `right` of shape (n,) of all pictures."""
        part = self.where(split)
        return Judged(name, self.keys[part], right[part], self.grouping(split), settings)
