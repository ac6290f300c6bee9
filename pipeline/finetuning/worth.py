"""What fine-tuning gained and cost: a fine-tuned network against the head that it started from, picture by picture."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.runs import Predictions, Run
from ...cache.table import SPLITS
from ..statistics.comparison import compare_runs
from ..statistics.pairs import Judged
from ..units import format_duration, format_points


@dataclass(frozen=True, slots=True)
class Worth:
    """A fine-tuned run against its parent."""

    parent: str
    split: str
    """On whose pictures the two are compared: test where it has any, else validation."""
    images: int
    difference: float
    """Accuracy of the run minus that of its parent."""
    interval: tuple[float, float]
    """95 %, of the difference."""
    p: float
    """Exact McNemar test."""
    shown: bool
    """Whether the gain is more than luck."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def judge_worth(
    run: str, predictions: Predictions, parent: Run, *, seconds: float, groups: NDArray[np.int64] | None = None
) -> Worth | None:
    """Return what a fine-tuned run gained over its parent; None where there is no picture to judge by.

    Parameters
    ----------
    run : str
        Its id.
    predictions : Predictions
        Of n pictures.
    parent : Run
    seconds : float
        That fine-tuning took.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number belong together.
    """
    # The last of validation and test that has pictures.
    split = int(predictions.splits.max())
    if not split:
        return None
    [found] = compare_runs(
        [_judged(run, predictions, split, groups), _judged(parent.id, parent.predictions, split, None)]
    )
    verb, sign = ("gained", 1) if found.difference >= 0 else ("lost", -1)
    low, high = sorted(sign * end for end in found.interval)
    outcomes = {"better": "the gain is shown", "worse": "it is shown to be worse, keep the head"}
    minutes = format_duration(seconds).replace(" min", " minutes").replace(" s", " seconds").replace(" h", " hours")
    return Worth(
        parent=parent.id,
        split=SPLITS[split],
        images=found.images,
        difference=found.difference,
        interval=found.interval,
        p=found.p,
        shown=found.verdict == "better",
        sentence=(
            f"fine-tuning {verb} {format_points(abs(found.difference))} points "
            f"[{format_points(low)}, {format_points(high)}] of {SPLITS[split]} accuracy over {parent.id} "
            f"for {minutes}: {outcomes.get(found.verdict, 'not shown to be worth it')}"
        ),
    )


def _judged(run: str, predictions: Predictions, split: int, groups: NDArray[np.int64] | None) -> Judged:
    chosen = predictions.splits == split
    right = predictions.predicted[chosen] == predictions.labels[chosen]
    return Judged(run, predictions.keys[chosen], right, None if groups is None else groups[chosen])
