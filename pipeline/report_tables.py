"""The tables of the report's page: cells as values to sort by and as words to read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rendering import Record, cells_of
from .units import format_size

_MANY_CLASSES = 25
"""Beyond, a matrix of figures cannot be read."""
_LEVELS = 8


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    title: str
    greatest_first: bool = True
    """What is sorted first when it is chosen."""
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One value; None where it is not known."""

    value: float | str | None
    text: str
    faint: str = ""
    """What stands beside it, such as an interval."""
    bar: float | None = None
    """Length of a bar, 0..1."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row; its name belongs to the first column."""

    name: str
    cells: tuple[Cell, ...]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, and controls that stay below them."""

    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    controls: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs in one respect."""

    title: str
    unit: str
    read: Callable[[Record], float | None]
    write: Callable[[float], str]


COSTS = (
    Cost("training", "s", lambda record: record.get("seconds"), lambda value: f"{value:.1f}"),
    Cost("size", "bytes", lambda record: record.get("head_bytes"), lambda value: format_size(int(value))),
)


def list_runs(runs: Sequence[Record], *, best: str | None, controls: Sequence[Record] = ()) -> Table:
    """Return the table of runs and controls, in the order given."""
    tops = any(run["metrics"][split]["top5_accuracy"] is not None for run in runs for split in ("validation", "test"))
    shares = ["accuracy", "balanced_accuracy", *(["top5_accuracy"] if tops else [])]
    titles = {"accuracy": "test", "balanced_accuracy": "balanced", "top5_accuracy": "top five"}
    columns = (
        Column("backbone", False, True),
        Column("head", False, True),
        Column("settings", False, True),
        Column("validation"),
        *(Column(titles[name]) for name in shares),
        Column("macro F1"),
        Column("AUC"),
        Column("log loss", False),
        Column("Brier", False),
        Column("calibration error", False),
        *(Column(f"{cost.title}, {cost.unit}" if cost.unit == "s" else cost.title, False) for cost in COSTS),
    )

    def line(record: Record) -> Line:
        test = record["metrics"]["test"]
        backbone, head, settings = cells_of(record)[:3]
        return Line(
            backbone,
            (
                Cell(head, head),
                Cell(settings, settings),
                _share(record["metrics"]["validation"], "accuracy"),
                *(_share(test, name) for name in shares),
                *(_number(test[name]) for name in ("macro_f1", "roc_auc", "log_loss", "brier")),
                _known(test["calibration_error"], lambda value: f"{100 * value:.1f}"),
                *(_known(cost.read(record), cost.write) for cost in COSTS),
            ),
            record["run"] == best,
        )

    return Table(columns, tuple(map(line, runs)), tuple(map(line, controls)))


def list_classes(classes: Sequence[str], per_class: Mapping[str, Sequence[Any]]) -> Table:
    """Return the table of classes: how many pictures, recall, precision and F1, with bars."""
    kinds = {"recall": "recall", "precision": "precision", "f1": "F1"}
    return Table(
        (Column("class", False, True), Column("pictures"), *(Column(title, False) for title in kinds.values())),
        tuple(
            Line(
                name,
                (
                    Cell(per_class["support"][index], f"{per_class['support'][index]:,}"),
                    *(_bar(per_class[kind][index]) for kind in kinds),
                ),
            )
            for index, name in enumerate(classes)
        ),
    )


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix as rows of figures, or where there are many classes as squares."""

    rows: tuple[tuple[str, tuple[tuple[int, float], ...]], ...] = ()
    """Per true class its name and, per predicted one, the count and its share of the row."""
    levels: tuple[tuple[float, str], ...] = ()
    """Opacity, and the squares of a unit that have it, as an SVG path."""


def list_confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> Confusion:
    """Return counts of shape (c, c), true by predicted, in the form that can be read."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(classes) <= _MANY_CLASSES:
        lines = zip(counts.tolist(), shares.tolist(), strict=True)
        return Confusion(
            rows=tuple((name, tuple(zip(*line, strict=True))) for name, line in zip(classes, lines, strict=True))
        )
    # A single picture must be seen as well, so the levels begin above nothing.
    levels = np.where(counts > 0, np.ceil(shares * _LEVELS), 0)
    return Confusion(
        levels=tuple(
            (level / _LEVELS, "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(levels == level).tolist()))
            for level in range(1, _LEVELS + 1)
            if (levels == level).any()
        )
    )


def _share(metrics: Record, name: str) -> Cell:
    value, interval = metrics[name], metrics[f"{name}_interval"]
    faint = f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
    return Cell(value, "-" if value is None else f"{100 * value:.1f}", faint)


def _number(value: float | None) -> Cell:
    return _known(value, lambda number: f"{number:.3f}")


def _known(value: float | None, write: Callable[[float], str]) -> Cell:
    return Cell(value, "-" if value is None else write(value))


def _bar(value: float | None) -> Cell:
    return Cell(value, "-", bar=0.0) if value is None else Cell(value, f"{100 * value:.1f}", bar=round(value, 3))
