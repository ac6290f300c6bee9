"""What an extraction would do, and why it would not find more in the cache. Nothing is written.

`plan_features` is `extract-features --plan`, `explain_features` is `extract-features --explain`.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ...cache.part import keys_to_array
from ...cache.recipe import differences
from ...models.engines.engine import Engine
from ..pictures.feed import decoding_ahead
from ..units import format_duration, format_size
from .request import Request
from .survey import Family, Survey, Wanted, pictures_of, survey_images

_PROBED = 72
"""Pictures that are run to tell the speed."""
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
            **_one_or_several([_counts_of(family) for family in self.survey.families]),
            "bytes": self.bytes,
            "images_per_second": None if rate is None else round(rate, 1),
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        """Return the plan in two lines."""
        if self.images_per_second is None:
            return f"{self.survey}\nnothing to extract"
        folders = [str(family.first.features.folder) for family in self.survey.families]
        speed = f"{self.images_per_second:,.0f} images/s"
        return (
            f"{self.survey}\nwould take about {format_duration(self.seconds)} at {speed} "
            f"and {format_size(self.bytes)} on disk, in {', '.join(folders)}"
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
    families: tuple[tuple[Family, tuple[Other, ...]], ...]
    """Each with the other feature sets of its backbone."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `extract-features --explain --json`."""
        told = [
            {**_counts_of(family), "others": [each.to_json() for each in others]} for family, others in self.families
        ]
        return {**_counts(self.survey), **_one_or_several(told)}

    def __str__(self) -> str:
        """Return the explanation, a line per fact."""
        lines = [str(self.survey)]
        for family, others in self.families:
            plan = family.first.plan
            lines.append(f"wanted: {family.first.recipe.folder}")
            if not family.missing:
                lines.append("nothing to explain: every picture that can be read is cached")
            elif plan.present and plan.missing:
                lines.append(
                    f"{len(plan.missing):,} pictures are new to this recipe: added or changed since the last run"
                )
            lines += map(str, others)
            if not others:
                lines.append(f"the store has no other features of {family.frozen.backbone.name}")
        return "\n".join(lines)


def plan_features(images: str | Path | None = None, **request: Unpack[Request]) -> Outlook:
    """Return what `extract_feature_sets` would do, its size and its time by a short probe; nothing is written.

    See `extract_feature_sets` for the arguments and errors.
    """
    started = time.monotonic()
    survey = survey_images(images, **request)
    seconds, size = 0.0, 0
    for frozen in dict.fromkeys(family.frozen for family in survey.families):
        families = [family for family in survey.families if family.frozen is frozen]
        passes = len({(view.frame, key) for family in families for view in family.views for key in view.plan.missing})
        if not passes:
            continue
        survey.request["progress"].say(f"measuring the speed of {frozen.backbone.name}")
        asked = survey.request["engine"] is not None
        engine = frozen.start_with_fallback(frozen.choice, [family.tap for family in families], asked=asked, keep=False)
        seconds += passes * _measure(survey, engine, [view for family in families for view in family.views])
        for family, values in zip(families, engine.extract(_blank(engine)), strict=True):
            size += family.missing * (values[0].nbytes + _ROW_EXTRA)
    pictures = len({key for family in survey.families for view in family.views for key in view.plan.missing})
    rate = pictures / seconds if pictures else None
    return Outlook(survey, size, rate, time.monotonic() - started + seconds)


def explain_features(images: str | Path | None = None, **request: Unpack[Request]) -> Explanation:
    """Return in which fields other feature sets of the backbones differ; nothing is written.

    See `extract_feature_sets` for the arguments and errors.
    """
    survey = survey_images(images, **request)
    return Explanation(survey, tuple((family, explain(survey, family)) for family in survey.families))


def explain(survey: Survey, family: Family) -> tuple[Other, ...]:
    """Return the other feature sets of the backbone, those with most of the wanted pictures first."""
    wanted = np.unique(keys_to_array([row.key for row in survey.table.rows]))
    first, own = family.first, {each.features.digest for each in family.views}
    others = []
    for features in survey.store.feature_sets():
        recipe = features.recipe
        # Another view explains nothing: it goes with its own view 0.
        if recipe.backbone == first.recipe.backbone and features.digest not in own and not recipe.view:
            keys = np.unique(keys_to_array(list(features.keys())))
            cached = int(np.isin(wanted, keys).sum())
            fields = differences(recipe, first.recipe)
            others.append(Other(recipe.folder, features.digest, len(keys), cached, tuple(fields)))
    return tuple(sorted(others, key=lambda other: (-other.cached, len(other.differences), other.name)))


def _measure(survey: Survey, engine: Engine, wanted: Sequence[Wanted]) -> float:
    """Return seconds per pass of one picture through the network, decoding included."""
    lacking = [each for each in wanted if each.plan.missing]
    pictures = pictures_of(survey.table, lacking)[:_PROBED]
    engine.extract(_blank(engine))
    started, passes, computed = time.monotonic(), 0, []
    with (
        ThreadPoolExecutor(engine.streams) as threads,
        decoding_ahead(pictures, survey.request["reading"], ahead=_PROBED) as decoded,
    ):
        every = (frame for each in decoded if each.pixels is not None for frame in each.pixels.values())
        pixels = islice(every, _PROBED)
        while batch := list(islice(pixels, engine.batch_size)):
            computed.append(threads.submit(engine.extract, np.stack(batch)))
            passes += len(batch)
    for each in computed:
        each.result()
    return (time.monotonic() - started) / max(passes, 1)


def _blank(engine: Engine) -> NDArray[np.uint8]:
    return np.zeros((1, *engine.input_size, 3), np.uint8)


def _counts(survey: Survey) -> dict[str, Any]:
    return {
        "dataset": survey.table.name,
        "images": survey.images,
        "duplicates": survey.duplicates,
        "refused": len(survey.families[0].first.plan.refused),
        "unreadable": len(survey.lost),
    }


def _one_or_several(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of the only feature set, or a list of those of several."""
    return told[0] if len(told) == 1 else {"feature_sets": told}


def _counts_of(family: Family) -> dict[str, Any]:
    first = family.first
    return {
        "backbone": first.recipe.backbone,
        "digest": first.features.digest,
        "layer": first.recipe.layer,
        "pooling": first.recipe.pooling,
        "views": len(family.views),
        "cached": len(first.plan.present),
        "new": len(first.plan.missing),
        "view_rows_new": family.missing - len(first.plan.missing),
    }
