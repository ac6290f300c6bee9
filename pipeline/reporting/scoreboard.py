"""The table of runs: in the report a row per family, the best first, then the controls; before it a row per run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..runs.rendering import Record, describe_settings
from ..units import format_points

COLUMNS = ("backbone", "head", "settings", "validation", "test", "to the best", "ms", "train", "MB")
NUMBERS = ("validation", "ms", "train", "MB")
"""Aligned to the right."""
WHOLE = ("head", "test", "to the best")
"""Not to be broken over lines."""
SPARE = ("to the best", "settings", "ms", "train", "MB")
"""What a narrow terminal can do without, the last one first."""
CAPTION = (
    "Accuracy in percent, the best by validation first; test with its 95 % interval; the difference to the best is on\n"
    "the same pictures, its interval as wide as the number of comparisons asks. ms: per picture at prediction; train:\n"
    "seconds; MB: with the backbone. Below the line controls, which must not be good or need no training."
)
TRAINED = ("backbone", "head", "settings", "validation", "test", "train")
"""What is known of a run before there is a report."""
TRAINED_CAPTION = "Accuracy in percent; test with its 95 % interval; train: seconds. Compare them: report-heads"


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Cells, in the order of `COLUMNS`."""

    runs: tuple[tuple[str, ...], ...]
    controls: tuple[tuple[str, ...], ...]


def tabulate(report: Record, *, every: bool = False) -> Scoreboard:
    """Return the table of a report.

    Parameters
    ----------
    report : dict
        The content of report.json.
    every : bool
        Controls on the features of all runs; by default on those of the best only.
    """
    first = report["runs"][0]["features_digest"]
    controls = [each for each in report["controls"] if every or each["features_digest"] in (None, first)]
    return Scoreboard(tuple(_rows(report)), tuple(map(_control_cells, controls)))


def _rows(report: Record) -> Iterator[tuple[str, ...]]:
    seeds = {each["family"]: each for each in report["seeds"]}
    by_other = {each["other"]: each for each in report["comparisons"]}
    families: dict[str, list[Record]] = {}
    for run in report["runs"]:
        families.setdefault(run["family"], []).append(run)
    for number, (family, members) in enumerate(families.items()):
        rival = next((run for run in members if run["run"] in by_other), None)
        difference = _difference(None if rival is None else by_other[rival["run"]])
        if rival is not None and len(members) > 1:
            # One run is compared, the row is of all.
            difference = f"{difference} seed {rival['seed']}"
        difference = "best" if number == 0 and report["best"] else difference
        yield _run_cells(members, seeds.get(family), report["split"], difference)


def cells_of(record: Record, *, seed: bool = True) -> tuple[str, ...]:
    """Return the cells of one run, in the order of `TRAINED`; without its seed where the row is of several."""
    validation, test = record["metrics"]["validation"]["accuracy"], record["metrics"]["test"]
    settings = describe_settings(record, seed=seed)
    return (
        record["inputs"],
        record["head"],
        settings,
        _percent(validation),
        _with_interval(test["accuracy"], test["accuracy_interval"]),
        f"{record['seconds']:.1f}",
    )


def _run_cells(members: Sequence[Record], seeds: Record | None, split: str | None, difference: str) -> tuple[str, ...]:
    first, cost = members[0], members[0]["cost"]
    backbone, head, settings, validation, test, train = cells_of(first, seed=len(members) == 1)
    if len(members) > 1:
        several = "runs" if len({run["seed"] for run in members}) < len(members) else "seeds"
        settings = f"{settings} {len(members)} {several}".strip()
    if seeds is not None:
        validation = _percent(seeds["validation"])
        if split == "test":
            test = _with_interval(seeds["mean"], seeds["interval"])
    milliseconds = cost["milliseconds"]
    return (
        backbone,
        head,
        settings,
        validation,
        test,
        difference,
        "-" if milliseconds is None else f"{'≤ ' if cost['at_most'] else ''}{milliseconds:.1f}",
        train,
        "-" if cost["bytes"] is None else f"{cost['bytes'] / 1e6:.1f}",
    )


def _control_cells(control: Record) -> tuple[str, ...]:
    validation, test = control["metrics"]["validation"]["accuracy"], control["metrics"]["test"]
    told = _with_interval(test["accuracy"], test["accuracy_interval"])
    return (control["inputs"] or "-", control["name"], "", _percent(validation), told, "", "", "", "")


def _difference(comparison: Record | None) -> str:
    """Return the other's accuracy minus that of the best, in points."""
    if comparison is None:
        return "-"
    # Read from the other's side, ends change places.
    high, low = (-end for end in comparison["family_interval"])
    return f"{format_points(-comparison['difference'], sign=True)} [{format_points(low)}, {format_points(high)}]"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _with_interval(share: float | None, interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"{_percent(share)} [{_percent(interval[0])}, {_percent(interval[1])}]"
