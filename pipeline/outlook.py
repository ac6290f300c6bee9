"""What an extraction would do, and why it would not find more in the cache. Nothing is written.

`plan_features` is `extract-features --plan`, `explain_features` is `extract-features --explain`.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ..cache.part import keys_to_array
from ..cache.recipe import differences
from ..models.engines import BATCH_SIZE, TensorFlowEngine
from .feed import decoding_ahead
from .progress import SILENT
from .survey import Request, Survey, first_paths, survey_images
from .units import format_duration, format_size

_BATCHES = 3
"""That are run to tell the speed; the first one only warms up."""
_ROW_EXTRA = 32
"""Bytes of a row beside its features: the key. Checksums are a thousandth."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an extraction would do."""

    survey: Survey
    bytes: int
    """That the new rows would take on disk; twice as much for a day after they were merged."""
    images_per_second: float | None
    """Of a short probe on pictures that are new; None where nothing is to be extracted."""
    seconds: float
    """That the extraction would take, loading the network included."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `extract-features --plan --json`."""
        rate = self.images_per_second
        return {
            **_counts(self.survey),
            "bytes": self.bytes,
            "images_per_second": None if rate is None else round(rate, 1),
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        """Return the plan in two lines."""
        if self.images_per_second is None:
            return f"{self.survey}\nnothing to extract"
        speed = f"{self.images_per_second:,.0f} images/s"
        return (
            f"{self.survey}\nwould take about {format_duration(self.seconds)} at {speed} "
            f"and {format_size(self.bytes)} on disk, in {self.survey.features.folder}"
        )


@dataclass(frozen=True, slots=True)
class Other:
    """Another feature set of the same backbone."""

    name: str
    digest: str
    rows: int
    cached: int
    """How many of the wanted pictures it has."""
    differences: tuple[str, ...]
    """As `field: there -> wanted`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "features": self.name,
            "digest": self.digest,
            "rows": self.rows,
            "cached": self.cached,
            "differences": list(self.differences),
        }

    def __str__(self) -> str:
        """Return the differences in a line."""
        return f"{self.name}, which has {self.cached:,} of them, differs: {'; '.join(self.differences)}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why pictures are not cached."""

    survey: Survey
    others: tuple[Other, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `extract-features --explain --json`."""
        return {**_counts(self.survey), "others": [other.to_json() for other in self.others]}

    def __str__(self) -> str:
        """Return the explanation, a line per fact."""
        survey = self.survey
        lines = [str(survey), f"wanted: {survey.features.recipe.folder}"]
        if not survey.plan.missing:
            lines.append("nothing to explain: every picture that can be read is cached")
        elif survey.plan.present:
            lines.append(
                f"{len(survey.plan.missing):,} pictures are new to this recipe: added or changed since the last run"
            )
        lines += map(str, self.others)
        if not self.others:
            lines.append(f"the store has no other features of {survey.frozen.backbone.name}")
        return "\n".join(lines)


def plan_features(images: str | Path | None = None, **request: Unpack[Request]) -> Outlook:
    """Return what `extract_features` would do, its size and its time by a short probe; nothing is written.

    See `extract_features` for the arguments and errors.
    """
    started = time.monotonic()
    survey = survey_images(images, **request)
    missing = survey.plan.missing
    size = len(missing) * (4 * survey.frozen.backbone.width + _ROW_EXTRA)
    if not missing:
        return Outlook(survey, 0, None, time.monotonic() - started)
    request.get("progress", SILENT).say(f"measuring the speed of {survey.frozen.backbone.name}")
    engine = TensorFlowEngine(survey.frozen.backbone, survey.frozen.load()[0], batch_size=BATCH_SIZE)
    rate = _measure(survey, engine)
    return Outlook(survey, size, rate, time.monotonic() - started + len(missing) / rate)


def explain_features(images: str | Path | None = None, **request: Unpack[Request]) -> Explanation:
    """Return in which fields other feature sets of the backbone differ; nothing is written.

    See `extract_features` for the arguments and errors.
    """
    survey = survey_images(images, **request)
    return Explanation(survey, explain(survey))


def explain(survey: Survey) -> tuple[Other, ...]:
    """Return the other feature sets of the backbone, those with most of the wanted pictures first."""
    wanted = np.unique(keys_to_array([row.key for row in survey.table.rows]))
    others = []
    for features in survey.store.feature_sets():
        if features.recipe.backbone == survey.recipe.backbone and features.digest != survey.features.digest:
            keys = np.unique(keys_to_array(list(features.keys())))
            cached = int(np.isin(wanted, keys).sum())
            fields = differences(features.recipe, survey.features.recipe)
            others.append(Other(features.recipe.folder, features.digest, len(keys), cached, tuple(fields)))
    return tuple(sorted(others, key=lambda other: (-other.cached, len(other.differences), other.name)))


def _measure(survey: Survey, engine: TensorFlowEngine) -> float:
    """Return pictures per second, decoding included."""
    recipe = survey.recipe
    pictures = first_paths(survey.table, survey.plan.missing[: _BATCHES * BATCH_SIZE])
    engine.extract(np.zeros((1, *recipe.input_size, 3), np.uint8))[0]
    started = time.monotonic()
    with decoding_ahead(pictures, recipe.input_size, recipe.resize, survey.reading, ahead=BATCH_SIZE) as decoded:
        good = [each.pixels for each in decoded if each.pixels is not None]
        for start in range(0, len(good), BATCH_SIZE):
            engine.extract(np.stack(good[start : start + BATCH_SIZE]))[0]
    return len(pictures) / max(time.monotonic() - started, 1e-6)


def _counts(survey: Survey) -> dict[str, Any]:
    plan = survey.plan
    return {
        "dataset": survey.table.name,
        "backbone": survey.recipe.backbone,
        "digest": survey.features.digest,
        "images": survey.images,
        "cached": len(plan.present),
        "new": len(plan.missing),
        "duplicates": survey.duplicates,
        "refused": len(plan.refused),
        "unreadable": len(survey.lost),
    }
