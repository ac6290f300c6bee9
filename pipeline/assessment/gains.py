"""What views gained and cost: each run on several views against the one that differs in nothing else."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...cache.runs import Run
from ...cache.table import SPLITS
from ..statistics.comparison import accuracy_difference

_ALIKE = ("head", "settings", "seed", "features_digest", "examples_digest")


@dataclass(frozen=True, slots=True)
class Gain:
    """A run on several views against the one on the pictures themselves."""

    run: str
    without: str
    """The run on view 0 alone."""
    views: int
    tta: bool
    split: str
    """On whose pictures the two are compared: test where it has any, else validation."""
    difference: float
    """Accuracy with views minus accuracy without."""
    interval: tuple[float, float]
    """95 %, picture by picture."""
    rows: int
    """Further rows that were learned from."""
    seconds: float
    """That training took."""
    seconds_without: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def describe_gain(gain: dict[str, Any]) -> str:
    """Return in a sentence what `Gain.to_json` says."""
    low, high = gain["interval"]
    tta = ", which judge as well" if gain["tta"] else ""
    points = f"{100 * gain['difference']:+.1f} points of {gain['split']} accuracy"
    return (
        f"{gain['run']}: {gain['views']} views{tta}, {points} "
        f"[{100 * low:+.1f}, {100 * high:+.1f}] over {gain['without']}; {gain['rows']:,} more rows to extract, "
        f"training {gain['seconds']:.1f} s instead of {gain['seconds_without']:.1f} s"
    )


def compare_views(runs: Sequence[Run]) -> list[Gain]:
    """Return the gain of every run on views that has a counterpart without, in the order of the runs."""
    plain = {_likeness(run): run for run in runs if run.record["views"] == 1}
    several = [run for run in runs if run.record["views"] > 1 and _judged_split(run)]
    return [_compare(run, plain[_likeness(run)]) for run in several if _likeness(run) in plain]


def _likeness(run: Run) -> str:
    return repr([run.record[name] for name in _ALIKE])


def _judged_split(run: Run) -> int:
    """Return the last of validation and test that has pictures; 0 where neither has."""
    return max(index for index in range(3) if index == 0 or run.record["metrics"][SPLITS[index]]["images"])


def _compare(run: Run, without: Run) -> Gain:
    split = _judged_split(run)
    with_views, plain = run.predictions, without.predictions
    chosen = with_views.splits == split
    difference, interval = accuracy_difference(
        with_views.labels[chosen], with_views.predicted[chosen], plain.predicted[chosen]
    )
    views = run.record["views"]
    return Gain(
        run=run.id,
        without=without.id,
        views=views,
        tta=run.record["tta"],
        split=SPLITS[split],
        difference=difference,
        interval=interval,
        rows=(views - 1) * run.record["metrics"]["train"]["images"],
        seconds=run.record["seconds"],
        seconds_without=without.record["seconds"],
    )
