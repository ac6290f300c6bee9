"""The words and numbers of the report: cells of the comparison, as CSV and as Markdown."""

import csv
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cache.table import SPLITS
from ..models.heads import HEADS
from .augmentation import STANDARD, augment_names
from .gains import describe_gain
from .inputs import JOINT
from .tuning import FINE_TUNED, Tuning
from .units import format_size

Record = dict[str, Any]
"""The content of a run's run.json."""

COLUMNS = ("backbone", "head", "settings", "validation", "test", "macro F1", "log loss", "seconds", "size")
CAPTION = (
    "Accuracy in percent with its 95 % interval; macro F1 and log loss on the test split; best by validation first."
)
NO_BEST = "There is no validation picture, so no run is shown to be better than another"
_METRICS = ("accuracy", "macro_f1", "log_loss")


def command_of(record: Record, *, store: Path) -> str:
    """Return the command line that trains a run again."""
    if record["head"] == FINE_TUNED:
        words = ["demijohn", "fine-tune", "--run", record["parent"], *_options(record), "--store", str(store)]
        return shlex.join(words + (["--seed", str(record["seed"])] if record["seed"] else []))
    words = ["train-head", "--head", record["head"], "--features", _short_digests(record)]
    words += ["--dataset", record["dataset"], "--store", str(store)]
    words += _options(record)
    if record["views"] > 1:
        words += ["--views", str(record["views"]), "--augment", augment_names(record["augment"])]
    else:
        words += ["--views", "1"]
    if record["tta"]:
        words.append("--tta")
    asked = record["request"]
    if asked["folds"]:
        words += ["--folds", str(asked["folds"])]
    if not asked["refit"]:
        words.append("--no-refit")
    if asked["calibrated"]:
        words.append("--calibrate")
    if record["seed"]:
        words += ["--seed", str(record["seed"])]
    return shlex.join(words)


def _options(record: Record) -> list[str]:
    """Return the options that ask for the settings that are not the usual ones."""
    words = []
    for name, value in _chosen(record).items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        else:
            words += [option, (",".join(map(str, value)) or "none") if isinstance(value, list) else str(value)]
    return words


def _short_digests(record: Record) -> str:
    return JOINT.join(digest[:12] for digest in record["features_digest"].split(JOINT))


def _chosen(record: Record) -> Record:
    """Return the settings that are not the usual ones of the head, or of fine-tuning."""
    usual = Tuning().to_json() if record["head"] == FINE_TUNED else HEADS[record["head"]].settings
    defaults = json.loads(json.dumps(usual))
    return {name: value for name, value in record["settings"].items() if value != defaults[name]}


def cells_of(record: Record) -> list[str]:
    """Return the cells of one run, in the order of `COLUMNS`."""
    metrics = record["metrics"]
    judged = metrics["test"]
    return [
        record["inputs"],
        record["head"],
        " ".join(f"{name}={_short(value)}" for name, value in _settings(record).items()),
        _percent(metrics["validation"]),
        _percent(judged),
        "-" if judged["macro_f1"] is None else f"{judged['macro_f1']:.3f}",
        "-" if judged["log_loss"] is None else f"{judged['log_loss']:.3f}",
        f"{record['seconds']:.1f}",
        format_size(record["head_bytes"]),
    ]


def _settings(record: Record) -> Record:
    """Return what tells this run from others of its head: settings not default, a seed, what was found."""
    settings, asked = _chosen(record), record["request"]
    if record["seed"]:
        settings["seed"] = record["seed"]
    if record["views"] > 1:
        settings["views"] = record["views"]
        if (names := augment_names(record["augment"])) != STANDARD:
            settings["augment"] = names
    if record["tta"]:
        settings["tta"] = "yes"
    if asked["folds"]:
        settings["folds"] = asked["folds"]
    if asked["calibrated"]:
        settings["calibrated"] = "yes"
    strength = None if record["head"] == FINE_TUNED else HEADS[record["head"]].strength
    if strength and strength in record["found"]:
        settings[strength] = record["found"][strength]
    return settings


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(metrics: Record) -> str:
    if metrics["accuracy"] is None:
        return "-"
    low, high = metrics["accuracy_interval"]
    return f"{100 * metrics['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def to_csv(records: Sequence[Record]) -> str:
    """Return a table with a row per run and a column per plain number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = [f"{split}_{name}{end}" for split in SPLITS for name in _METRICS for end in ("", "_low", "_high")]
    writer.writerow(["run", "backbone", "head", "settings", *numbers, "seconds", "head_bytes"])
    for record in records:
        row = [record["run"], record["inputs"], record["head"], cells_of(record)[2]]
        for split in SPLITS:
            for name in _METRICS:
                metrics = record["metrics"][split]
                row += [metrics[name], *(metrics[f"{name}_interval"] or (None, None))]
        writer.writerow([*row, record["seconds"], record["head_bytes"]])
    return text.getvalue()


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
    runs = report["runs"]
    counts = ", ".join(f"{runs[0]['metrics'][split]['images']:,} {split}" for split in SPLITS)
    best = f"Best by validation: **{_escape(report['best'])}**" if report["best"] else NO_BEST
    lines = [f"# Heads on {_escape(report['dataset'])}", ""]
    lines += [f"{best}. Pictures: {counts}.", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(_escape(cell) for cell in cells_of(run)) + " |" for run in runs]
    lines += ["", CAPTION, ""]
    for title, path in pictures:
        lines += [f"![{_escape(title)}]({path})", ""]
    sections = [
        ("What views gained and cost", [describe_gain(each) for each in report["views"]]),
        (
            "What fine-tuning gained and cost",
            [f"{run['run']}: {run['worth']['sentence']}" for run in runs if run.get("worth")],
        ),
        ("Splits and labels", report["notes"]),
        ("Warnings", [f"{run['run']}: {warning}" for run in runs for warning in run["warnings"]]),
        ("Skipped pictures", [f"{each['path']}: {each['reason']}" for each in report["skipped"]]),
        ("Runs of an earlier state", [f"{each['run']}: {each['command']}" for each in report["outdated"]]),
    ]
    for title, items in sections:
        if items:
            lines += [f"## {title}", "", *(f"- {_escape(item)}" for item in items), ""]
        if title == "Skipped pictures":
            for name, path in remains.items():
                lines += [f"![what can be seen of {_escape(name)}]({path})", ""]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    lines += ["## Made with", "", f"{report['created']}, {report['machine']['system']}, {versions}", ""]
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is; names of classes and files are data."""
    for character in "\\`*_{}[]<>#|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
