"""The tables of the report's page: cells as values to sort by and as words to read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runs.rendering import Record, describe_settings
from ..units import format_points

_MANY_CLASSES = 25
"""Beyond, a matrix of figures cannot be read."""
_LEVELS = 8
FOREST = 240
"""Pixels of the width of a forest plot."""


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
class TableRow:
    """One row; its name belongs to the first column."""

    name: str
    cells: tuple[Cell, ...]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class RunTable:
    """Rows, and controls that stay below them."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    controls: tuple[TableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class CostColumn:
    """What a run costs in one respect."""

    title: str
    unit: str
    read: Callable[[Record], float | None]


COSTS = (
    CostColumn("prediction", "ms a picture", lambda record: record["cost"]["milliseconds"]),
    CostColumn("training", "s", lambda record: record["cost"]["seconds_to_train"]),
    CostColumn("size", "MB", lambda record: None if record["cost"]["bytes"] is None else record["cost"]["bytes"] / 1e6),
)


def list_runs(runs: Sequence[Record], *, best: str | None, controls: Sequence[Record] = ()) -> RunTable:
    """Return the table of runs and controls, in the order given."""
    tops = any(run["metrics"][split]["top5_accuracy"] is not None for run in runs for split in ("validation", "test"))
    shares = {"balanced_accuracy": "balanced", **({"top5_accuracy": "top five"} if tops else {})}
    columns = (
        Column("backbone", False, True),
        Column("head", False, True),
        Column("settings", False, True),
        Column("validation"),
        Column("test"),
        *(Column(f"{cost.title}, {cost.unit}", False) for cost in COSTS),
        *(Column(title) for title in shares.values()),
        Column("macro F1"),
        Column("AUC"),
        Column("log loss", False),
        Column("Brier", False),
        Column("calibration error", False),
    )

    def line(record: Record, name: str, head: str, settings: str, costs: Sequence[float | None]) -> TableRow:
        test = record["metrics"]["test"]
        cells = (
            Cell(head, head),
            Cell(settings, settings),
            _share(record["metrics"]["validation"], "accuracy"),
            _share(test, "accuracy"),
            *(_known(cost, lambda value: f"{value:.1f}") for cost in costs),
            *(_share(test, each) for each in shares),
            *(_number(test[each]) for each in ("macro_f1", "roc_auc", "log_loss", "brier")),
            _known(test["calibration_error"], lambda value: f"{100 * value:.1f}"),
        )
        return TableRow(name, cells, best is not None and record.get("run") == best)

    return RunTable(
        columns,
        tuple(
            line(run, run["inputs"], run["head"], describe_settings(run), [cost.read(run) for cost in COSTS])
            for run in runs
        ),
        tuple(line(each, each["inputs"] or "-", each["name"], "", [None] * len(COSTS)) for each in controls),
    )


def list_classes(classes: Sequence[str], per_class: Mapping[str, Sequence[Any]]) -> RunTable:
    """Return the table of classes: how many pictures, recall, precision and F1, with bars."""
    kinds = {"recall": "recall", "precision": "precision", "f1": "F1"}
    return RunTable(
        (Column("class", False, True), Column("pictures"), *(Column(title, False) for title in kinds.values())),
        tuple(
            TableRow(
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
class Span:
    """A run against the best: words, and pixels of the interval's ends and middle."""

    name: str
    kind: str
    """CSS class: better, worse or open."""
    left: float
    middle: float
    right: float
    points: str
    interval: str
    p: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Forest:
    """Differences of accuracy to the best run, as wide as the number of comparisons asks."""

    best: str
    images: int
    span: str
    """What the line of a row spans."""
    zero: float
    """Pixel of no difference."""
    rows: tuple[Span, ...]


def list_differences(comparisons: Sequence[Record], names: Mapping[str, str]) -> Forest | None:
    """Return the comparisons of a report as a forest plot of `FOREST` pixels; None without any."""
    if not comparisons:
        return None
    # Of the other against the best: what is less accurate lies on the left.
    turned = [
        (each, -each["difference"], -each["family_interval"][1], -each["family_interval"][0]) for each in comparisons
    ]
    low = min(0.0, *(each[2] for each in turned)) - 0.002
    high = max(0.0, *(each[3] for each in turned)) + 0.002

    def place(value: float) -> float:
        return float(round((value - low) / (high - low) * FOREST, 1))

    kinds = {"better": ("worse", "worse"), "worse": ("better", "better")}
    rows = []
    for each, difference, least, most in turned:
        kind, verdict = kinds.get(each["verdict"], ("open", each["verdict"]))
        rows.append(
            Span(
                name=names[each["other"]],
                kind=kind,
                left=place(least),
                middle=place(difference),
                right=place(most),
                points=format_points(difference, sign=True),
                interval=f"[{format_points(least)}, {format_points(most)}]",
                p=f"{each['p_adjusted']:.2g}",
                verdict=verdict,
            )
        )
    span = f"{format_points(low, sign=True)} to {format_points(high, sign=True)} points"
    return Forest(names[comparisons[0]["one"]], comparisons[0]["images"], span, place(0.0), tuple(rows))


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
