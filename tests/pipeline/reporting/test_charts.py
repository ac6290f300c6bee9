"""Charts: everything lies within its axes, whatever the values."""

import math

from demijohn.pipeline.reporting.charts import (
    HEIGHT,
    WIDTH,
    Chart,
    Rated,
    Scale,
    draw_cost,
    draw_history,
    draw_learning,
    draw_path,
    draw_reliability,
    find_front,
)
from hypothesis import given
from hypothesis import strategies as st

SHARES = st.floats(0, 1)
COSTS = st.floats(1e-3, 1e6)


def is_within(chart: Chart) -> bool:
    """Return whether every tick, line and mark lies within the picture."""
    across = [at for at, _ in chart.x.ticks] + [mark.x for mark in chart.marks]
    down = [at for at, _ in chart.y.ticks] + [mark.y for mark in chart.marks]
    down += [end for mark in chart.marks for end in (mark.low, mark.high) if end is not None]
    for line in chart.lines:
        points = [point.split(",") for point in line.points.split()]
        across += [float(x) for x, _ in points]
        down += [float(y) for _, y in points]
    return all(0 <= x <= WIDTH for x in across) and all(0 <= y <= HEIGHT for y in down)


@given(low=st.floats(1e-6, 1e6), factor=st.floats(1.01, 1e6), logarithmic=st.booleans())
def test_ticks_are_round_ascending_and_within(low: float, factor: float, logarithmic: bool) -> None:
    scale = Scale(low, low * factor, 0, 100, logarithmic)
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks))
    assert 2 <= len(ticks) <= 20
    assert all(low * (1 - 1e-6) <= tick <= low * factor * (1 + 1e-6) for tick in ticks)


@given(st.lists(st.tuples(COSTS, SHARES, SHARES, SHARES), min_size=2, max_size=12))
def test_cost_lies_within_and_the_front_is_not_beaten(rows: list[tuple[float, float, float, float]]) -> None:
    runs = [
        Rated(f"run {i}", "b", "h", accuracy, (min(low, accuracy), max(high, accuracy)), cost)
        for i, (cost, accuracy, low, high) in enumerate(rows)
    ]
    chart = draw_cost(runs, "training", unit="s", judged="test")
    assert chart is not None
    assert is_within(chart)
    points = [(run.cost or 0.0, run.accuracy) for run in runs]
    front = find_front(points)
    for cost, accuracy in points:
        assert any(points[i][0] <= cost and points[i][1] >= accuracy for i in front)


def test_a_single_run_or_an_unknown_cost_has_no_chart() -> None:
    run = Rated("run", "b", "h", 0.9, (0.8, 0.95), 1.0)
    assert draw_cost([run], "training", unit="s", judged="test") is None
    unknown = Rated("run", "b", "h", 0.9, (0.8, 0.95), None)
    assert draw_cost([run, unknown], "training", unit="s", judged="test") is None


@given(st.lists(st.tuples(st.floats(0, 1e9), SHARES), min_size=1, max_size=20))
def test_curves_lie_within_and_a_loss_without_bounds_is_left_out(rows: list[tuple[float, float]]) -> None:
    losses, shares = [loss for loss, _ in rows], [share for _, share in rows]
    history = {"epoch": list(range(1, len(rows) + 1)), "loss": losses, "accuracy": shares, "val_loss": losses}
    for name in ("loss", "accuracy"):
        chart = draw_history(history, name, title="run")
        assert chart is not None
        assert is_within(chart)
    broken = {**history, "loss": [math.nan] * len(rows), "val_loss": [math.inf] * len(rows)}
    assert draw_history(broken, "loss", title="run") is None
    assert draw_history({}, "loss", title="run") is None


@given(st.lists(st.tuples(st.floats(0, 1e3), SHARES), min_size=2, max_size=45), st.data())
def test_a_path_lies_within_and_marks_what_was_chosen(rows: list[tuple[float, float]], data: st.DataObject) -> None:
    path = [
        {"c": 10.0 ** (number / 4 - 6), "validation_loss": loss, "validation_accuracy": share}
        for number, (loss, share) in enumerate(rows)
    ]
    chosen = data.draw(st.sampled_from(path))
    for name in ("loss", "accuracy"):
        chart = draw_path({"c": chosen["c"], "path": path}, name, title="run")
        assert chart is not None
        assert is_within(chart)
        (mark,) = chart.marks
        assert f"{mark.x:g},{mark.y:g}" == chart.lines[0].points.split()[path.index(chosen)]
        assert f"c = {chosen['c']:g}" in mark.text
    assert draw_path({"c": 1.0, "path": []}, "loss", title="run") is None
    assert draw_path({"epochs": 3}, "loss", title="run") is None


@given(st.lists(st.tuples(SHARES, SHARES, st.integers(1, 99)), min_size=1, max_size=15))
def test_reliability_lies_within(curve: list[tuple[float, float, int]]) -> None:
    assert is_within(draw_reliability(curve))


@given(st.lists(SHARES, min_size=2, max_size=9))
def test_a_learning_curve_lies_within_and_needs_two_points(shares: list[float]) -> None:
    points = [
        {"per_class": 5 * 2**i, "accuracy": share, "interval": [max(0.0, share - 0.1), min(1.0, share + 0.1)]}
        for i, share in enumerate(shares)
    ]
    chart = draw_learning(points, judged="validation")
    assert chart is not None
    assert is_within(chart)
    assert draw_learning(points[:1], judged="validation") is None
