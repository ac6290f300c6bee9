"""What fine-tuning gained and cost: each fine-tuned run against the one that it started from, picture by picture."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..cache.runs import Run
from ..cache.table import SPLITS
from .comparison import compare_runs
from .pairs import Judged
from .units import format_duration, format_points


@dataclass(frozen=True, slots=True)
class Worth:
    """A fine-tuned run against its parent."""

    run: str
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
    seconds: float
    """That fine-tuning took."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def compare_with_parents(runs: Sequence[Run]) -> list[Worth]:
    """Return what every fine-tuned run gained over its parent, where that is among the runs, in their order."""
    known = {run.id: run for run in runs}
    pairs = [(run, known.get(run.record.get("parent", ""))) for run in runs]
    return [worth for run, parent in pairs if (worth := compare_with_parent(run, parent))]


def compare_with_parent(run: Run, parent: Run | None) -> Worth | None:
    """Return what a run gained over its parent; None where that has gone, or there is no picture to judge by."""
    splits = [split for split in SPLITS[1:] if run.record["metrics"][split]["images"]]
    if parent is None or not splits:
        return None
    # The last of validation and test that has pictures.
    number = SPLITS.index(splits[-1])
    [found] = compare_runs([_judged(run, number), _judged(parent, number)])
    low, high = found.interval
    verb, sign = ("gained", 1) if found.difference >= 0 else ("lost", -1)
    ends = sorted((sign * low, sign * high))
    outcome = {"better": "the gain is shown", "worse": "it is shown to be worse: keep the head"}.get(
        found.verdict, "not shown to be worth it"
    )
    return Worth(
        run=run.id,
        parent=parent.id,
        split=splits[-1],
        images=found.images,
        difference=found.difference,
        interval=found.interval,
        p=found.p,
        shown=found.verdict == "better",
        seconds=run.record["seconds"],
        sentence=(
            f"fine-tuning {verb} {format_points(abs(found.difference))} points "
            f"[{format_points(ends[0])}, {format_points(ends[1])}] of {splits[-1]} accuracy over {parent.id} "
            f"for {_minutes(run.record['seconds'])}: {outcome}"
        ),
    )


def _minutes(seconds: float) -> str:
    return format_duration(seconds).replace(" min", " minutes").replace(" s", " seconds").replace(" h", " hours")


def _judged(run: Run, split: int) -> Judged:
    predictions = run.predictions
    chosen = predictions.splits == split
    right = predictions.predicted[chosen] == predictions.labels[chosen]
    return Judged(run.id, predictions.keys[chosen], right)
