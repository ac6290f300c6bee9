"""What an audit found, in a few sentences, from the JSON that it left beside its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cache.errors import CacheError
from ...cache.files import read_json
from ...cache.table import Dataset

KEPT = "audit.json"
_NAMED = 5
"""Findings of a kind that are named."""


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """What the last audit of a data set said."""

    sentences: tuple[str, ...]
    is_old: bool
    """Whether the data set has changed since."""


def read_audit(folder: Path, table: Dataset) -> AuditSummary | None:
    """Return what the audit in the report's folder said; None where it is of another data set, or not there."""
    try:
        found = read_json(folder / KEPT)
    except (OSError, CacheError):
        # It can be made again at any time.
        return None
    if found.get("dataset") != table.name or "dataset_digest" not in found:
        return None
    return AuditSummary(tuple(summarise_audit(found)), found["dataset_digest"] != table.digest)


def summarise_audit(found: dict[str, Any]) -> list[str]:
    """Return what the JSON object of `demijohn audit --json` says, worst first.

    >>> kinds = ("leaks", "label_conflicts", "near_duplicates", "label_errors", "duplicates", "outliers")
    >>> empty = {**{kind: [] for kind in kinds}, "shortcuts": None, "features": None, "notes": ["no features"]}
    >>> summarise_audit({**empty, "leaks": [{"paths": ["train/a.png", "test/b.png"]}]})
    ['exact copies across given splits: 1 (train/a.png, test/b.png)', 'no features']
    >>> summarise_audit({**empty, "notes": []})
    ['nothing was found']
    """
    across = [each for each in found["near_duplicates"] if each["across_splits"]]
    others = [each for each in found["near_duplicates"] if not each["across_splits"]]
    sure = [each for each in found["label_errors"] if each["confident"]]
    kinds = (
        ("exact copies across given splits", [", ".join(each["paths"][:3]) for each in found["leaks"]]),
        ("the same bytes under two labels", [", ".join(each["paths"][:3]) for each in found["label_conflicts"]]),
        ("near-duplicates across splits", [" and ".join(each["paths"]) for each in across]),
        ("likely label errors", [f"{each['path']}, rather {each['suggested']}" for each in sure]),
        ("other near-duplicates", [" and ".join(each["paths"]) for each in others]),
        ("pictures with exact copies", [", ".join(each["paths"][:3]) for each in found["duplicates"]]),
        ("outliers of their class", [each["path"] for each in found["outliers"]]),
    )
    sentences = [_tell(kind, names) for kind, names in kinds if names]
    if found["shortcuts"] and found["shortcuts"]["warning"]:
        sentences.insert(0, found["shortcuts"]["warning"])
    return [*sentences, *found["notes"]] or ["nothing was found"]


def _tell(kind: str, names: Sequence[str]) -> str:
    more = ", …" if len(names) > _NAMED else ""
    return f"{kind}: {len(names):,} ({'; '.join(names[:_NAMED])}{more})"
