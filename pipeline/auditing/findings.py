"""What an audit finds in a data set: a record per kind of finding, and one of them all, each with its JSON."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.features import FeatureSet
from ...cache.table import SPLITS, Dataset, Row, Skipped
from ..pictures.facts import FileFacts
from .shortcuts import Shortcuts

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Files with the same bytes."""

    rows: tuple[Row, ...]
    """In the order of the paths."""
    given: tuple[str, ...]
    """The split folders that they lie in, sorted; empty where splits are not given by folders."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Their labels, sorted."""
        return tuple(sorted({row.label for row in self.rows if row.label}))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "key": self.rows[0].key.hex(),
            "paths": [row.path for row in self.rows],
            "labels": list(self.labels),
            "given_splits": list(self.given),
        }


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two pictures that show the same."""

    first: Row
    second: Row
    cosine: float
    """Of their features, the mean taken off."""
    correlation: float | None
    """Of their gray values; None where the pixels could not be compared."""
    mirrored: bool | None
    """None where the pixels could not be compared."""

    @property
    def across_splits(self) -> bool:
        """Whether they lie in two splits, so that one gives the other away."""
        return bool(self.first.split and self.second.split and self.first.split != self.second.split)

    @property
    def two_labels(self) -> bool:
        """Whether they have two labels, of which one must be wrong."""
        return bool(self.first.label and self.second.label and self.first.label != self.second.label)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "paths": [self.first.path, self.second.path],
            "labels": [self.first.label, self.second.label],
            "splits": [self.first.split, self.second.split],
            "cosine": round(self.cosine, 4),
            "correlation": None if self.correlation is None else round(self.correlation, 4),
            "mirrored": self.mirrored,
            "across_splits": self.across_splits,
            "two_labels": self.two_labels,
        }


@dataclass(frozen=True, slots=True)
class Outlier:
    """A picture far from the others of its class."""

    row: Row
    score: float
    """Modified z-score of its distance to the nearest of its class."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**_picture(self.row), "score": round(self.score, 3)}


@dataclass(frozen=True, slots=True)
class LabelError:
    """A picture whose label is likely wrong."""

    row: Row
    suggested: str
    """The most probable class."""
    given_probability: float
    """Of its label, out of fold."""
    suggested_probability: float
    confident: bool
    """Whether confident learning counts it as an error; else it is merely predicted otherwise."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **_picture(self.row),
            "suggested": self.suggested,
            "given_probability": round(self.given_probability, 6),
            "suggested_probability": round(self.suggested_probability, 6),
            "confident": self.confident,
        }


@dataclass(frozen=True, slots=True)
class Range:
    """Least, middle and greatest of a number."""

    least: float
    median: float
    greatest: float

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {"min": self.least, "median": self.median, "max": self.greatest}


@dataclass(frozen=True, slots=True)
class Audit:
    """What `audit` found."""

    dataset: Dataset
    seed: int
    features: FeatureSet | None
    """Whose features were looked at; None where there are none."""
    facts: dict[str, FileFacts]
    """By path; of the files that are there and unchanged."""
    duplicates: tuple[Duplicate, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    """Those across splits first, then the most alike."""
    label_errors: tuple[LabelError, ...]
    """The least probable label first."""
    outliers: tuple[Outlier, ...]
    """The farthest first."""
    shortcuts: Shortcuts | None
    """None where there are too few labelled pictures with facts."""
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    """What could not be looked at, and why."""
    page: Path

    @property
    def conflicts(self) -> tuple[Duplicate, ...]:
        """The same bytes under two labels."""
        return tuple(each for each in self.duplicates if len(each.labels) > 1)

    @property
    def leaks(self) -> tuple[Duplicate, ...]:
        """The same bytes in two of the given splits."""
        return tuple(each for each in self.duplicates if len(each.given) > 1)

    @property
    def near_leaks(self) -> tuple[NearDuplicate, ...]:
        """Near-duplicates in two splits."""
        return tuple(each for each in self.near_duplicates if each.across_splits)

    @property
    def sure_errors(self) -> tuple[LabelError, ...]:
        """Those that confident learning counts as errors."""
        return tuple(each for each in self.label_errors if each.confident)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Files by class and split; the class is empty for pictures without label."""
        counts: dict[str, dict[str, int]] = {}
        for row in sorted(self.dataset.rows, key=lambda row: row.label):
            by_split = counts.setdefault(row.label, dict.fromkeys(SPLITS, 0) if row.label else {"": 0})
            by_split[row.split] = by_split.get(row.split, 0) + 1
        return counts

    @property
    def kinds(self) -> dict[str, int]:
        """Files by kind, the most frequent first."""
        return dict(Counter(each.kind for each in self.facts.values()).most_common())

    @property
    def ranges(self) -> dict[str, Range | None]:
        """Least, median and greatest of what the headers tell; None where none does."""
        every = self.facts.values()
        return {
            "file_size": _range(each.size for each in every),
            "width": _range(each.width for each in every),
            "height": _range(each.height for each in every),
            "aspect": _range(each.aspect for each in every),
            "jpeg_quality": _range(each.quality for each in every if each.quality is not None),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `demijohn audit --json`."""
        features = self.features
        return {
            "format": FORMAT,
            "dataset": self.dataset.name,
            "dataset_digest": self.dataset.digest,
            "root": str(self.dataset.origin.root),
            "seed": self.seed,
            "features": None
            if features is None
            else {"backbone": features.recipe.backbone, "digest": features.digest, "path": str(features.path)},
            "images": len(self.dataset.rows),
            "distinct": len({row.key for row in self.dataset.rows}),
            "counts": self.counts,
            "files_examined": len(self.facts),
            "kinds": self.kinds,
            **{name: None if each is None else each.to_json() for name, each in self.ranges.items()},
            "duplicates": [each.to_json() for each in self.duplicates],
            "label_conflicts": [each.to_json() for each in self.conflicts],
            "leaks": [each.to_json() for each in self.leaks],
            "near_duplicates": [each.to_json() for each in self.near_duplicates],
            "label_errors": [each.to_json() for each in self.label_errors],
            "outliers": [each.to_json() for each in self.outliers],
            "shortcuts": None if self.shortcuts is None else self.shortcuts.to_json(),
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
            "notes": list(self.notes),
            "page": str(self.page),
        }


def _picture(row: Row) -> dict[str, str]:
    return {"path": row.path, "label": row.label, "split": row.split}


def _range(values: Iterable[float]) -> Range | None:
    found = list(values)
    return Range(min(found), float(np.median(found)), max(found)) if found else None
