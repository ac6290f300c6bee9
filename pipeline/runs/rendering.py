"""The words and numbers of runs: the command that trains one again, what tells it from others, CSV."""

import csv
import io
import json
import shlex
from pathlib import Path
from typing import Any

from ...cache.table import SPLITS
from ...models.heads.heads import HEADS
from ..pictures.augmentation import STANDARD, augment_names
from ..statistics.evaluation import WITH_INTERVAL
from .inputs import JOINT
from .tuning import FINE_TUNED, Tuning

Record = dict[str, Any]
"""The content of a run's run.json."""

_COSTS = (
    "seconds_to_extract",
    "seconds_to_train",
    "milliseconds",
    "milliseconds_extraction",
    "milliseconds_head",
    "head_bytes",
    "backbone_bytes",
)


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


def describe_settings(record: Record, *, seed: bool = True) -> str:
    """Return what tells a run from others of its head, as `name=value`, with or without its seed."""
    settings = _settings(record)
    return " ".join(f"{name}={_short(value)}" for name, value in settings.items() if seed or name != "seed")


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
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def to_csv(report: Record) -> str:
    """Return a table with a row per run, then a row per control, and a column per plain number.

    Parameters
    ----------
    report : dict
        The content of report.json.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = [f"{split}_{name}{end}" for split in SPLITS for name in WITH_INTERVAL for end in ("", "_low", "_high")]
    errors = [f"{split}_calibration_error" for split in SPLITS]
    writer.writerow(["kind", "run", "backbone", "head", "settings", *numbers, *errors, *_COSTS])
    for record in report["runs"]:
        row = ["run", record["run"], record["inputs"], record["head"], describe_settings(record)]
        writer.writerow([*row, *_numbers(record["metrics"]), *(record["cost"][name] for name in _COSTS)])
    for control in report["controls"]:
        row = ["control", control["control"], control["inputs"], control["name"], None]
        writer.writerow([*row, *_numbers(control["metrics"]), *[None] * len(_COSTS)])
    return text.getvalue()


def _numbers(metrics: Record) -> list[float | None]:
    """Return the plain numbers of all splits, None for what is not known."""
    found: list[float | None] = []
    for split in SPLITS:
        for name in WITH_INTERVAL:
            told = metrics.get(split, {})
            found += [told.get(name), *(told.get(f"{name}_interval") or (None, None))]
    return [*found, *(metrics.get(split, {}).get("calibration_error") for split in SPLITS)]
