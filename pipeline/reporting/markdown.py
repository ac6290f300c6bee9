"""The report as Markdown, from report.json. Names of classes and files are data: escaped everywhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...cache.table import SPLITS
from ..assessment.gains import describe_gain
from ..runs.rendering import Record
from ..units import format_time
from .scoreboard import CAPTION, COLUMNS, tabulate

_NO_BEST = "There is no validation picture, so no run is shown to be better than another"
_FIGURES = {
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "top-5": "top5_accuracy",
    "ROC AUC": "roc_auc",
    "log loss": "log_loss",
    "Brier": "brier",
}
_CLASSES = 30
"""Of more classes, those that are told worst."""


def to_markdown(report: Record, pictures: Sequence[tuple[str, str]], remains: Mapping[str, str]) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    report : dict
        The content of report.json.
    pictures : sequence of (str, str)
        Title and path, relative to the report, of each figure.
    remains : mapping of str to str
        Path of a skipped picture to the path, relative to the report, of what can be seen of it.
    """
    runs, split = report["runs"], report["split"]
    board = tabulate(report, every=True)
    counts = ", ".join(f"{runs[0]['metrics'][name]['images']:,} {name}" for name in SPLITS)
    best = f"Best by validation: **{escape(report['best'])}**" if report["best"] else _NO_BEST
    lines = [f"# Heads on {escape(report['dataset'])}", ""]
    lines += [*(f"- {escape(sentence)}." for sentence in report["verdict"]), ""]
    lines += [f"{best}. Pictures: {counts}.", ""]
    lines += _section("To look at", [flag["sentence"] for flag in report["flags"]])
    lines += ["## Runs", "", *_table(COLUMNS, [*board.runs, *(_slanted(row) for row in board.controls)])]
    caption = CAPTION.replace("\n", " ").replace("Below the line", "In italics")
    lines += [caption, "", f"How it was timed: {runs[0]['cost']['note']}.", ""]
    lines += _figures(runs, split or "train")
    lines += _section("Differences", _differences(report))
    lines += _section("Good enough", [each["sentence"] for each in report["equivalence"]])
    lines += _section("Seeds", [each["sentence"] for each in report["seeds"]])
    lines += _section("What choosing cost", _optimism(report["optimism"]))
    lines += _curve(report["learning_curve"])
    lines += _classes(runs[0], split or "train")
    for title, path in pictures:
        lines += [f"![{escape(title)}]({path})", ""]
    lines += _section("What views gained and cost", [describe_gain(each) for each in report["views"]])
    worth = [f"{run['run']}: {run['worth']['sentence']}" for run in runs if run.get("worth")]
    lines += _section("What fine-tuning gained and cost", worth)
    lines += _section("Splits and labels", report["notes"])
    lines += _section("Warnings", [f"{run['run']}: {warning}" for run in runs for warning in run["warnings"]])
    lines += _section("Skipped pictures", [f"{each['path']}: {each['reason']}" for each in report["skipped"]])
    for name, path in remains.items():
        lines += [f"![what can be seen of {escape(name)}]({path})", ""]
    lines += _section("Runs of an earlier state", [f"{each['run']}: {each['command']}" for each in report["outdated"]])
    lines += _section("Runs left out", [each["reason"] for each in report["left_out"]])
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    lines += ["## Made with", "", f"{format_time(report['created'])}, {report['machine']['system']}, {versions}", ""]
    return "\n".join(lines)


def _section(title: str, items: Iterable[str]) -> list[str]:
    told = [f"- {escape(item)}" for item in items]
    return [f"## {title}", "", *told, ""] if told else []


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Give a table; cells of rows that are not slanted yet are escaped."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell if isinstance(cell, _Ready) else escape(cell) for cell in row) + " |"
    yield ""


class _Ready(str):
    """Text that is Markdown already."""


def _slanted(row: Sequence[str]) -> list[str]:
    return [_Ready(f"*{escape(cell)}*") if cell else cell for cell in row]


def _figures(runs: Sequence[Record], split: str) -> Iterator[str]:
    """Give further metrics of each run on the judged split, each with its interval."""
    metrics = [run["metrics"][split] for run in runs]
    names = {title: name for title, name in _FIGURES.items() if any(each[name] is not None for each in metrics)}
    if not names:
        return
    yield from (f"## Further figures, {split}", "")
    rows = []
    for run, each in zip(runs, metrics, strict=True):
        cost = run["cost"]
        error = each["calibration_error"]
        calibration = "-" if error is None else f"{error:.3f} (luck alone: {each['calibration_error_by_luck']:.3f})"
        extract = "-" if cost["seconds_to_extract"] is None else f"{cost['seconds_to_extract']:.1f}"
        rows.append([run["run"], *(_figure(each, name) for name in names.values()), calibration, extract])
    yield from _table(["run", *names, "calibration error", "seconds to extract"], rows)


def _figure(metrics: Record, name: str) -> str:
    if metrics[name] is None:
        return "-"
    interval = metrics[f"{name}_interval"]
    return f"{metrics[name]:.3f}" + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")


def _differences(report: Record) -> Iterator[str]:
    for each in report["comparisons"]:
        tested = "" if each["verdict"] == "seed only" else f" (p = {each['p']:.2g}, adjusted {each['p_adjusted']:.2g})"
        yield f"{each['sentence']}{tested}"
        over = each["over_seeds"]
        if over is not None:
            low, high = (100 * end for end in over["interval"])
            verb = "differ" if over["shown"] else "are not shown to differ"
            yield (
                f"over all their seeds the settings {verb}: {100 * over['difference']:+.1f} points "
                f"[{low:+.1f}, {high:+.1f}]"
            )


def _optimism(optimism: Record | None) -> list[str]:
    if optimism is None:
        return []
    measured, expected = optimism["measured"], optimism["expected"]
    told = [] if expected is None else [expected["sentence"]]
    if measured is not None:
        difference, low, high = (100 * value for value in (measured["difference"], *measured["interval"]))
        plain = f"validation minus test of the best: {difference:+.1f} points [{low:+.1f}, {high:+.1f}]"
        told.append(measured["sentence"] or f"{plain}; that may be luck of the draw")
    return told


def _curve(curve: Record | None) -> Iterator[str]:
    if curve is None:
        return
    yield from ("## Learning curve", "", f"{escape(curve['head'])} on {escape(curve['inputs'])}, validation.", "")
    rows = []
    for point in curve["points"]:
        low, high = (100 * end for end in point["interval"])
        accuracy = f"{100 * point['accuracy']:.1f} [{low:.1f}, {high:.1f}]"
        rows.append([f"{point['per_class']:,}", f"{point['images']:,}", str(point["draws"]), accuracy])
    yield from _table(["pictures per class", "pictures", "draws", "accuracy"], rows)
    yield from (f"{escape(curve['sentence'])}.", "")


def _classes(best: Record, split: str) -> Iterator[str]:
    per_class: dict[str, Any] | None = best["metrics"][split]["per_class"]
    if per_class is None:
        return
    lists = [per_class[name] for name in ("precision", "recall", "f1", "support")]
    rows = list(zip(best["classes"], *lists, strict=True))
    chosen = sorted(rows, key=lambda row: (row[3] is None, row[3]))[:_CLASSES] if len(rows) > _CLASSES else rows
    worst = f", the {_CLASSES} told worst" if len(rows) > _CLASSES else ""
    yield from (f"## Classes of {escape(best['run'])}, {split}{worst}", "")
    cells = [
        [name, *("-" if value is None else f"{value:.3f}" for value in shares), f"{support:,}"]
        for name, *shares, support in chosen
    ]
    yield from _table(["class", "precision", "recall", "F1", "pictures"], cells)


def escape(text: str) -> str:
    """Return text that Markdown shows as it is; names of classes and files are data."""
    for character in "\\`*_{}[]<>#|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
