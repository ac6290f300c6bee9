"""A report: everything that comparing the runs of a data set found, and its JSON (docs/report.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cache.runs import Run
from ...cache.table import Dataset, Skipped
from ..assessment.controls import Control
from ..assessment.costs import Cost
from ..assessment.expectations import Expectation
from ..assessment.flags import Flag
from ..assessment.gains import Gain
from ..assessment.leaks import Leaks
from ..assessment.learning_curve import LearningCurve
from ..assessment.verdicts import By, Duel, RunFamily
from ..errors import NotReached
from ..provenance import describe_environment
from ..statistics.comparison import Equivalence
from ..statistics.selection import ExpectedOptimism, Optimism

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Outdated:
    """A run of an earlier state of the data set."""

    run: str
    command: str
    """Trains it again on the present state."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that cannot be read, of whatever data set it was."""

    run: str
    reason: str
    """With what mends it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which runs are asked for, and whose pictures judge them; None stands for all, and for the last that has some."""

    runs: tuple[str, ...] | None = None
    """Ids or names, in which * and ? stand for anything."""
    backbone: str | None = None
    split: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"runs": list(self.runs) if self.runs else None, "backbone": self.backbone, "split": self.split}


@dataclass(frozen=True, slots=True)
class Report:
    """What `report_heads` found and wrote."""

    dataset: Dataset
    filters: Filters
    split: str | None
    """Whose pictures judge: comparisons, controls and flags are of it."""
    runs: tuple[Run, ...]
    """Of the present state of the data set, the best by validation first, with all metrics."""
    names: Mapping[str, str]
    """For people, by the id of the run."""
    families: Mapping[str, str]
    """Id of the first run of the family, by the id of the run."""
    costs: Mapping[str, Cost]
    """By the id of the run."""
    duels: tuple[Duel, ...]
    """The best against the others."""
    seeds: tuple[RunFamily, ...]
    equivalences: tuple[tuple[Equivalence, By], ...]
    measured: Optimism | None
    expected: ExpectedOptimism | None
    front: tuple[str, ...]
    controls: tuple[Control, ...]
    shortcuts: dict[str, Any] | None
    leaks: Leaks | None
    learning_curve: LearningCurve | None
    flags: tuple[Flag, ...]
    gains: tuple[Gain, ...]
    """What views gained and cost, per run that has a counterpart without."""
    outdated: tuple[Outdated, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """About splits and labels, and what could not be looked at."""
    skipped: tuple[Skipped, ...]
    """Pictures of the data set that could not be read."""
    verdict: tuple[str, ...]
    """Up to three sentences."""
    expectations: tuple[Expectation, ...]
    folder: Path

    @property
    def best(self) -> Run | None:
        """The run with the best validation accuracy; None where there is no validation picture."""
        return self.runs[0] if self.runs[0].record["metrics"]["validation"]["images"] else None

    def check(self) -> None:
        """Raise where something that was expected does not hold.

        Raises
        ------
        NotReached
        """
        values = {"flags": float(len(self.flags))}
        name = self.names[self.runs[0].id]
        metrics = self.runs[0].record["metrics"]
        failures = [each.judge(metrics, values, name) for each in self.expectations]
        if told := [failure for failure in failures if failure is not None]:
            raise NotReached("; ".join(told))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `report-heads --json`, which is report.json."""
        return {
            "format": FORMAT,
            "dataset": self.dataset.name,
            "filters": self.filters.to_json(),
            "split": self.split,
            "verdict": list(self.verdict),
            "runs": [self._describe(run) for run in self.runs],
            "best": self.best.id if self.best else None,
            "comparisons": [each.to_json() for each in self.duels],
            "seeds": [each.to_json() for each in self.seeds],
            "equivalence": [{**each.to_json(), "by": by} for each, by in self.equivalences],
            "optimism": None
            if self.measured is None and self.expected is None
            else {
                "measured": None if self.measured is None else self.measured.to_json(),
                "expected": None if self.expected is None else self.expected.to_json(),
            },
            "pareto": list(self.front),
            "controls": [each.to_json() for each in self.controls],
            "shortcuts": self.shortcuts,
            "leaks": None if self.leaks is None else self.leaks.to_json(),
            "learning_curve": None if self.learning_curve is None else self.learning_curve.to_json(),
            "flags": [each.to_json() for each in self.flags],
            "views": [each.to_json() for each in self.gains],
            "outdated": [{"run": each.run, "command": each.command} for each in self.outdated],
            "left_out": [{"run": each.run, "reason": each.reason} for each in self.left_out],
            "notes": list(self.notes),
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
            **describe_environment(),
        }

    def _describe(self, run: Run) -> dict[str, Any]:
        told = {"name": self.names[run.id], "family": self.families[run.id], "cost": self.costs[run.id].to_json()}
        return {**run.record, **told}
