"""Charts as numbers: where ticks, lines and marks lie; the page's template draws them as SVG.

All lengths are CSS pixels of a picture `WIDTH` wide, y downwards.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 380, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 10, 40
COLOURS = 10
"""Colours; a number beyond begins anew. With seven shapes, 70 numbers differ in one of both."""
SHAPES = (
    "M-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0z",
    "M-8-8H8V8H-8z",
    "M0-11L11 8H-11z",
    "M0-12L12 0 0 12-12 0z",
    "M0 11L11-8H-11z",
    "M-3-10H3V-3H10V3H3V10H-3V3H-10V-3H-3z",
    "M-9-5L-5-9 0-4 5-9 9-5 4 0 9 5 5 9 0 4-5 9-9 5-4 0z",
)
"""SVG paths around (0, 0), one per kind of head: circle, square, triangle, diamond, triangle down, plus, cross."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight or logarithmic way from values to pixels."""

    low: float
    high: float
    start: float
    """Pixel of `low`."""
    stop: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value, to a tenth; what lies outside is put on the edge.

        >>> Scale(0, 1, 0, 100).place(0.256), Scale(1, 100, 0, 100, logarithmic=True).place(10)
        (25.6, 50.0)
        """
        low, high, value = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[float]:
        """Return round values within the scale, four to eight where it can be.

        >>> Scale(0.9, 1, 0, 1).ticks()
        [0.9, 0.92, 0.94, 0.96, 0.98, 1.0]
        >>> Scale(3, 4000, 0, 1, logarithmic=True).ticks()
        [10.0, 100.0, 1000.0]
        """
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            steps = (1.0,) if last - first > 1 else (1.0, 2.0, 5.0)
            ticks = [step * 10.0**power for power in range(first - 1, last + 1) for step in steps]
            within = [tick for tick in ticks if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]
            if len(within) > 2:
                return within
        step = _round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(index * step, 10) for index in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Axis:
    """One side of a chart."""

    title: str
    ticks: tuple[tuple[float, str], ...]
    """Pixel and text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    points: str
    """As SVG wants them: x,y x,y."""
    kind: str
    """CSS class."""
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A value, with its interval where there is one."""

    x: float
    y: float
    kind: str
    """CSS class."""
    shape: int
    text: str
    """What it is, in words."""
    low: float | None = None
    """Pixels of the interval's ends."""
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return WIDTH, HEIGHT

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, right, top and bottom of the part within the axes."""
        return LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Rated:
    """A run as a point of the chart of accuracy against cost."""

    name: str
    backbone: str
    head: str
    accuracy: float
    interval: tuple[float, float]
    cost: float | None


def draw_cost(runs: Sequence[Rated], cost: str, *, unit: str, judged: str) -> Chart | None:
    """Return accuracy against a cost on a logarithmic scale; None where fewer than two runs have it.

    The line is the Pareto front: for no run on it there is a cheaper one that is as accurate.
    """
    rated = [run for run in runs if run.cost is not None and run.cost > 0]
    if len(rated) < 2:
        return None
    costs = [run.cost or 0.0 for run in rated]
    x = _horizontal(min(costs) / 1.15, max(costs) * 1.15, logarithmic=True)
    y = _shares([run.accuracy for run in rated], [bound for run in rated for bound in run.interval])
    backbones, heads = _numbered(run.backbone for run in runs), _numbered(run.head for run in runs)
    front = find_front([(run.cost or 0.0, run.accuracy) for run in rated])
    steps = [(x.place(costs[i]), y.place(rated[i].accuracy)) for i in front]
    return Chart(
        title=f"{judged} accuracy against {cost}, with the Pareto front",
        x=_axis(f"{cost}, {unit}", x, _plain),
        y=_axis(f"{judged} accuracy", y, _percent),
        lines=(Line(_join(steps), "front", "Pareto front"),),
        marks=tuple(
            Mark(
                x.place(each),
                y.place(run.accuracy),
                f"c{backbones[run.backbone] % COLOURS}",
                heads[run.head] % len(SHAPES),
                f"{run.name}: {run.accuracy:.1%}, {_plain(each)} {unit}",
                y.place(run.interval[0]),
                y.place(run.interval[1]),
            )
            for run, each in zip(rated, costs, strict=True)
        ),
    )


def find_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return which points of (cost, accuracy) no other one beats, the cheapest first.

    >>> find_front([(1, 0.5), (2, 0.4), (2, 0.9), (3, 0.9)])
    [0, 2]
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def draw_history(history: Mapping[str, Sequence[float]], name: str, *, title: str) -> Chart | None:
    """Return loss or accuracy per epoch of training and validation; None where the history has it not."""
    columns = [(column, label) for column, label in ((name, "train"), (f"val_{name}", "validation"))]
    epochs = history.get("epoch", ())
    found = [
        # A loss beyond all bounds has no place.
        (label, [(e, v) for e, v in zip(epochs, history[column], strict=True) if math.isfinite(v)])
        for column, label in columns
        if column in history
    ]
    values = [value for _, points in found for _, value in points]
    if not values:
        return None
    x = _horizontal(min(epochs), max(*epochs, min(epochs) + 1))
    y = _shares(values, ()) if name == "accuracy" else _losses(values)
    return Chart(
        title=f"{name} of {title} per epoch",
        x=_axis("epoch", x, _plain),
        y=_axis(name, y, _percent if name == "accuracy" else _plain),
        lines=tuple(Line(_join((x.place(e), y.place(v)) for e, v in points), label, label) for label, points in found),
    )


def draw_path(found: Mapping[str, Any], name: str, *, title: str) -> Chart | None:
    """Return validation accuracy or loss by the strengths that were tried; None where none were.

    Parameters
    ----------
    found : mapping
        What training found, as in run.json: `path`, a point per strength, and what was chosen.
    name : "accuracy" or "loss"
    title : str
        Name of the run.
    """
    path: Sequence[Mapping[str, Any]] = found.get("path") or []
    if len(path) < 2:
        return None
    strength = str(next(iter(path[0])))
    tried = [float(point[strength]) for point in path]
    values = [float(point[f"validation_{name}"]) for point in path]
    x = _horizontal(tried[0], tried[-1], logarithmic=tried[0] > 0)
    y = _shares(values, ()) if name == "accuracy" else _losses(values)
    text = _percent if name == "accuracy" else _plain
    places = [(x.place(at), y.place(value)) for at, value in zip(tried, values, strict=True)]
    at = tried.index(float(found[strength]))
    return Chart(
        title=f"validation {name} of {title} by {strength}",
        x=_axis(strength, x, _power),
        y=_axis(f"validation {name}", y, text),
        lines=(Line(_join(places), "validation", name),),
        marks=(Mark(*places[at], "c0", 0, f"chosen: {strength} = {tried[at]:g}, {text(values[at])}"),),
    )


def draw_reliability(curve: Sequence[Sequence[float]]) -> Chart:
    """Return how often predictions of some confidence are right; the diagonal is as often as claimed.

    Parameters
    ----------
    curve : sequence of (mean confidence, accuracy, number of pictures)
    """
    least = min(min(point[0], point[1]) for point in curve)
    low = math.floor(max(0.0, least - 0.02) * 10) / 10
    x, y = _horizontal(low, 1), _vertical(low, 1)
    places = [(x.place(point[0]), y.place(point[1])) for point in curve]
    return Chart(
        title="accuracy against confidence",
        x=_axis("confidence", x, _percent),
        y=_axis("share that is right", y, _percent),
        lines=(
            Line(_join([(x.start, y.start), (x.stop, y.stop)]), "ideal", "as often right as claimed"),
            Line(_join(places), "c0", "this run"),
        ),
        marks=tuple(
            Mark(*place, "c0", 0, f"{int(point[2])} pictures: {point[0]:.1%} sure, {point[1]:.1%} right")
            for place, point in zip(places, curve, strict=True)
        ),
    )


def draw_learning(points: Sequence[Mapping[str, Any]], *, judged: str) -> Chart | None:
    """Return accuracy against the number of training pictures per class; None with fewer than two points.

    Parameters
    ----------
    points : sequence of mappings
        `per_class`, `accuracy`, `interval`.
    """
    known = [point for point in points if point["accuracy"] is not None]
    if len(known) < 2:
        return None
    counts = [float(point["per_class"]) for point in known]
    bounds = [bound for point in known for bound in point["interval"]]
    x = _horizontal(min(counts) / 1.1, max(counts) * 1.1, logarithmic=True)
    y = _shares([point["accuracy"] for point in known], bounds)
    places = [(x.place(n), y.place(point["accuracy"])) for n, point in zip(counts, known, strict=True)]
    marks = []
    for (across, down), point in zip(places, known, strict=True):
        low, high = point["interval"]
        text = f"{point['per_class']} per class: {point['accuracy']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"
        marks.append(Mark(across, down, "c0", 0, text, y.place(low), y.place(high)))
    return Chart(
        title=f"{judged} accuracy against training pictures per class",
        x=_axis("training pictures per class", x, _plain),
        y=_axis(f"{judged} accuracy", y, _percent),
        lines=(Line(_join(places), "c0", "accuracy"),),
        marks=tuple(marks),
    )


def _horizontal(low: float, high: float, *, logarithmic: bool = False) -> Scale:
    return Scale(low, high, LEFT, WIDTH - RIGHT, logarithmic)


def _vertical(low: float, high: float) -> Scale:
    return Scale(low, high, HEIGHT - BOTTOM, TOP)


def _losses(values: Sequence[float]) -> Scale:
    return _vertical(0, max(*values, 1e-6) * 1.05)


def _shares(values: Sequence[float], bounds: Sequence[float]) -> Scale:
    """Return a scale of shares that shows the values, and the bounds but for those far away."""
    least, most = min(values), max(values)
    room = max(1.5 * (most - least), 0.04)
    low = max(0.0, min([least - 0.01, *(bound for bound in bounds if bound > least - room)]))
    high = max([most, low + 0.01, *(bound for bound in bounds if bound < most + room)])
    step = _round_step((high - low) / 5)
    return _vertical(math.floor(low / step) * step, min(1.0, math.ceil(high / step) * step))


def _axis(title: str, scale: Scale, text: Any) -> Axis:
    return Axis(title, tuple((scale.place(tick), text(tick)) for tick in scale.ticks()))


def _round_step(rough: float) -> float:
    """Return the least of 1, 2, 5 times a power of ten that is not below.

    >>> _round_step(0.013), _round_step(3), _round_step(7)
    (0.02, 5.0, 10.0)
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= rough * (1 - 1e-9))


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(sorted(set(names)))}


def _join(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _power(value: float) -> str:
    return f"{value:g}" if 0.01 <= value < 1e4 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
