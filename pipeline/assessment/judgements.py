"""Who is judged: runs, each on its ground, by what it has right there.

A run that is of the present state of the data set has predicted exactly the pictures of its ground, in
their order; so what it has right is a row of booleans, which is kept, and its predictions are read once.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.errors import DamagedFile
from ...cache.results import KeptResults, Result
from ...cache.runs import Predictions, Run, predictions_content
from ...cache.table import SPLITS
from ..runs.choosing import likeness
from ..statistics.evaluation import WITH_INTERVAL, WITHOUT_INTERVAL, Metrics
from ..statistics.pairs import Judged
from ..training.ground import Ground

_GROUPED_SINCE = 3
"""Runs of this format have intervals that know of groups."""


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


def judge_run(run: Run, ground: Ground, kept: KeptResults) -> Judgement:
    """Return the judgement of a run.

    Parameters
    ----------
    run : Run
        Of the present state of the data set.
    ground : Ground
        Of its features.
    kept : KeptResults

    Raises
    ------
    DamagedFile
        The predictions of the run cannot be read, or are of other pictures.
    """
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
    parts = {split: ground.where(split) for split in SPLITS}
    return {
        split: ground.evaluate(part, scores[part], are_probabilities=predictions.are_probabilities)
        for split, part in parts.items()
    }
