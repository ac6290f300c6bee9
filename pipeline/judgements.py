"""Who is judged, and on which ground: runs, and the pictures and features that they stand on.

A run that is of the present state of the data set has predicted exactly the pictures of its ground, in
their order; so what it has right is a row of booleans, which is kept, and its predictions are read once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.errors import DamagedFile
from ..cache.part import keys_to_array
from ..cache.results import KeptResults, Result
from ..cache.runs import Predictions, Run, predictions_content
from ..cache.table import SPLITS
from .choosing import likeness
from .evaluation import WITH_INTERVAL, WITHOUT_INTERVAL, Metrics, evaluate
from .examples import Examples
from .inputs import Inputs
from .pairs import Judged

_GROUPED_SINCE = 3
"""Runs of this format have intervals that know of groups."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Features, and the pictures that heads learn from and are judged by on them."""

    inputs: Inputs
    """In view 0."""
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

    def read(self, positions: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the features of some pictures, shape (m, d), float32."""
        return self.inputs.read([self.examples.rows[at].key for at in positions])

    def grouping(self, split: str) -> NDArray[np.int64] | None:
        """Return the group of each picture of a split; None where nothing is grouped."""
        return None if self.groups is None else self.groups[self.where(split)]

    def evaluate(self, split: str, scores: NDArray[np.float64], *, are_probabilities: bool) -> Metrics:
        """Return the metrics of scores (m, c) of a split's pictures."""
        return evaluate(
            self.labels[self.where(split)], scores, are_probabilities=are_probabilities, groups=self.grouping(split)
        )

    def judged(self, name: str, right: NDArray[np.bool_], split: str, settings: str | None = None) -> Judged:
        """Return what somebody has right of a split, from `right` of shape (n,) of all pictures."""
        part = self.where(split)
        return Judged(name, self.keys[part], right[part], self.grouping(split), settings)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A run, and what it has right."""

    run: Run
    """Its record has all metrics."""
    ground: Ground
    right: NDArray[np.bool_]
    """(n,) of all pictures of the ground."""

    @property
    def likeness(self) -> str:
        """What the run was made of but the seed."""
        return likeness(self.run)

    def judged(self, name: str, split: str) -> Judged:
        """Return what the run, under a name, has right of a split."""
        return self.ground.judged(name, self.right, split, self.likeness)

    def accuracy(self, split: str) -> float | None:
        """Return the accuracy that the record has for a split; None where there is no picture."""
        value: float | None = self.run.record["metrics"][split]["accuracy"]
        return value


def judge_runs(runs: Sequence[Run], grounds: dict[str, Ground], kept: KeptResults) -> list[Judgement]:
    """Return the judgement of each run.

    Parameters
    ----------
    runs : sequence of Run
        Of the present state of the data set.
    grounds : dict of str to Ground
        By the digest of the features.
    kept : KeptResults

    Raises
    ------
    DamagedFile
        The predictions of a run cannot be read, or are of other pictures.
    """
    return [_judge(run, grounds[run.record["features_digest"]], kept) for run in runs]


def _judge(run: Run, ground: Ground, kept: KeptResults) -> Judgement:
    complete = _is_complete(run.record, grouped=ground.groups is not None)
    about = {
        "run": run.id,
        "predictions": predictions_content(run),
        "complete": complete,
        **ground.pictures,
    }
    result = kept.recall("run", about, lambda: _read(run, ground, complete=complete))
    metrics = run.record["metrics"] if complete else result.values["metrics"]
    return Judgement(replace(run, record={**run.record, "metrics": metrics}), ground, result.arrays["right"])


def _is_complete(record: dict[str, Any], *, grouped: bool) -> bool:
    """Say whether a record has every metric, with the intervals that are right for the data set."""
    names = {*WITH_INTERVAL, *WITHOUT_INTERVAL}
    there = all(names <= set(record["metrics"][split]) for split in SPLITS)
    return there and (not grouped or record["format"] >= _GROUPED_SINCE)


def _read(run: Run, ground: Ground, *, complete: bool) -> Result:
    predictions = run.predictions
    if not np.array_equal(predictions.keys, ground.keys):
        raise DamagedFile(
            f"{run.folder / 'predictions.h5'} has {len(predictions.keys):,} pictures that are not those of the run: "
            f"expected the {len(ground.keys):,} that run.json names; train the run again with --force"
        )
    right = predictions.predicted == predictions.labels
    return Result({} if complete else {"metrics": _evaluate_all(predictions, ground)}, {"right": right})


def _evaluate_all(predictions: Predictions, ground: Ground) -> dict[str, Metrics]:
    scores = predictions.scores.astype(np.float64)
    return {
        split: ground.evaluate(split, scores[ground.where(split)], are_probabilities=predictions.are_probabilities)
        for split in SPLITS
    }
