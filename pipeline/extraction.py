"""Stage one: the frozen backbone runs once over every picture that has no features yet.

One picture's way: its bytes are read once, hashed and decoded from the same buffer; pixels go
through the engine in batches of one static shape; key and vector go together into the store.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.part import Key
from ..cache.plan import plan_extraction
from ..cache.refusals import Refusal
from ..cache.table import Skipped
from ..cache.writer import FeatureWriter
from . import images as decoding
from .dataset import build_dataset
from .errors import TooManyUnreadable
from .feed import Decoded, Picture, decoding_ahead
from .images import DEFAULT_POLICY, ReadingPolicy
from .interruption import stopping_gently
from .labelling import Labelling
from .outlook import explain
from .probing import Opened, open_features
from .progress import SILENT, Progress
from .survey import Survey, first_paths, survey_images

BATCHES_AHEAD = 4
"""How many are decoded ahead of the network; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction found and did."""

    dataset: str
    seed: int
    """Of the hashed splits."""
    backbone: str
    digest: str
    """Of the recipe."""
    images: int
    """Picture files considered."""
    cached: int
    """Distinct pictures that had features before."""
    extracted: int
    """Rows that were added."""
    duplicates: int
    """Files whose bytes another file has too."""
    skipped: tuple[Skipped, ...]
    rows: int
    """Distinct pictures of this data set that have features now."""
    width: int
    """Features per picture."""
    features: Path | None
    """The file features.h5; None where no picture has features."""
    seconds: float
    """Wall time of everything."""
    images_per_second: float | None
    """Of the network's part; None where nothing was extracted."""
    device: str | None
    """What the network ran on; None where it did not run."""
    notes: tuple[str, ...]
    max_bad: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `extract-features --json`."""
        return {
            "dataset": self.dataset,
            "seed": self.seed,
            "backbone": self.backbone,
            "digest": self.digest,
            "images": self.images,
            "cached": self.cached,
            "extracted": self.extracted,
            "duplicates": self.duplicates,
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
            "rows": self.rows,
            "width": self.width,
            "features": None if self.features is None else str(self.features),
            "seconds": round(self.seconds, 3),
            "images_per_second": None if self.images_per_second is None else round(self.images_per_second, 1),
            "device": self.device,
            "notes": list(self.notes),
        }

    @property
    def too_many_skipped(self) -> bool:
        """Whether more pictures were skipped than is allowed."""
        return len(self.skipped) > self.max_bad * self.images

    def check(self) -> None:
        """Raise if more pictures were skipped than is allowed.

        Raises
        ------
        TooManyUnreadable
        """
        if self.too_many_skipped:
            first = self.skipped[0]
            raise TooManyUnreadable(
                f"{len(self.skipped):,} of {self.images:,} pictures were skipped, expected at most "
                f"{self.max_bad:.2%} (the first is {first.path}: {first.reason}); the others have their features. "
                "Mend or remove those files, or allow more with --max-bad"
            )


def extract_features(
    images: str | Path | None = None,
    *,
    backbone: str = "efficientnet-lite0",
    weights: str = "imagenet",
    store: str | Path = "bottlenecks",
    dataset: str | None = None,
    seed: int | None = None,
    labelling: Labelling | None = None,
    max_bad: float = 1.0,
    reading: ReadingPolicy = DEFAULT_POLICY,
    resize: str | None = None,
    retry: bool = False,
    new: bool = False,
    progress: Progress = SILENT,
) -> Extraction:
    """Extract the features that are missing, and return what was found and done.

    Parameters
    ----------
    images : path, optional
        Folder of pictures, or a CSV table; without it the data set that the store knows, `./images` or `./data`.
    backbone : str
        A name of `BACKBONES`.
    weights : str
        `imagenet`, `random`, `random:SEED` or the path of a file.
    store : path
        Folder that keeps everything.
    dataset : str, optional
        Name of the data set; the folder's or the table's name by default.
    seed : int, optional
        Of the hashed splits; by default the one that the data set has, or 0.
    labelling : Labelling, optional
        How labels, groups and splits are found; what it leaves open is as the data set has it.
    max_bad : float
        Greatest fraction of skipped pictures that `Extraction.check` accepts.
    reading : ReadingPolicy
        What is read and what is refused.
    resize : str, optional
        `squash`, `crop` or `pad`; by default what the backbone's record says.
    retry : bool
        Try again what was refused before.
    new : bool
        Where this installation gives other numbers than the stored features, begin a feature set
        of its own beside them, instead of `OtherNumbers`.

    Raises
    ------
    PipelineError, ModelError, CacheError
        See their modules; nothing that was stored is lost.
    KeyboardInterrupt
        On SIGINT or SIGTERM, after what was extracted has been stored.
    """
    started = time.monotonic()
    survey = survey_images(
        images,
        backbone=backbone,
        weights=weights,
        store=store,
        dataset=dataset,
        seed=seed,
        labelling=labelling,
        reading=reading,
        resize=resize,
        retry=retry,
        progress=progress,
    )
    kept, frozen, features, refusals = survey.store, survey.frozen, survey.features, survey.refusals
    table, plan = survey.table, survey.plan
    kept.index.remember(survey.hashed)
    frozen.remember()
    kept.save_dataset(table)
    for change in survey.changes:
        progress.warn(change)
    progress.say(str(survey))
    opened = None
    if new:
        opened = open_features(kept, survey.recipe, frozen, progress, new=True)
        if opened.features.digest != features.digest:
            features = opened.features
            progress.say(f"with the features of this installation, {features.recipe.folder}")
            plan = plan_extraction([row.key for row in table.rows], features.keys(), refusals)
    elif plan.missing and not plan.present:
        _say_why(survey, progress)
    first, keys = plan, survey.keys

    outcome = _Outcome(reading)
    while plan.missing:
        opened = opened or open_features(kept, survey.recipe, frozen, progress)
        try:
            _extract(opened, first_paths(table, plan.missing), progress, outcome, cached=len(first.present))
        finally:
            kept.add_refusals(outcome.take_refused(refusals))
        # What was really read counts: a file may have changed or gone since it was hashed. Each turn
        # of this loop stores rows, learns of refusals or loses files, so it ends.
        keys = {path: key for path, key in (keys | outcome.changed).items() if path not in outcome.lost}
        skipped = [*survey.lost, *(Skipped(path, reason) for path, reason in outcome.lost.items())]
        table = build_dataset(
            table.name, survey.listing, keys, seed=table.origin.seed, unreadable=refusals, skipped=skipped
        )
        kept.save_dataset(table)
        plan = plan_extraction([row.key for row in table.rows], features.keys(), refusals)
    features.refresh()
    features.note_use()
    unreadable_keys = set(plan.refused)
    refused = [Skipped(row.path, refusals[row.key]) for row in table.rows if row.key in unreadable_keys]
    for note in table.notes:
        progress.warn(note)
    return Extraction(
        dataset=table.name,
        seed=table.origin.seed,
        backbone=frozen.backbone.name,
        digest=features.digest,
        images=len(table.rows) + len(table.skipped),
        cached=len(first.present),
        extracted=len(outcome.done),
        duplicates=survey.duplicates,
        skipped=(*table.skipped, *refused),
        rows=len(plan.present),
        width=frozen.backbone.width,
        features=features.path if features.has_parts() else None,
        seconds=time.monotonic() - started,
        images_per_second=outcome.rate,
        device=outcome.device,
        notes=(*survey.changes, *table.notes),
        max_bad=max_bad,
    )


def _say_why(survey: Survey, progress: Progress) -> None:
    """Say why nothing is cached, where other features of the backbone are."""
    for other in explain(survey):
        if other.cached:
            progress.say(f"nothing cached, since {other}")


@dataclass(slots=True)
class _Outcome:
    """What became of the pictures that had no features."""

    reading: ReadingPolicy
    done: set[Key] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    """Not stored yet."""
    lost: dict[str, str] = field(default_factory=dict)
    """Path and reason of files that could be read when they were hashed, and not any more."""
    changed: dict[str, Key] = field(default_factory=dict)
    """Path to the key of the bytes that were really read, where they had changed."""
    rate: float | None = None
    """Pictures per second, decoding and storing included."""
    device: str | None = None

    def note(self, picture: Decoded) -> None:
        """Take note of one picture that was read, or could not be."""
        if picture.key is None:
            self.lost[picture.name] = picture.reason
            return
        if picture.key != picture.expected:
            self.changed[picture.name] = picture.key
        if picture.pixels is None:
            self.refused.append(Refusal(picture.key, picture.reason, self.reading.outcome, decoding.decoder_version()))
        else:
            self.done.add(picture.key)

    def take_refused(self, known: dict[Key, str]) -> list[Refusal]:
        """Return the refusals that are not stored yet, and add them to those that are known."""
        new, self.refused = self.refused, []
        known.update({refusal.key: refusal.reason for refusal in new})
        return new


def _extract(
    opened: Opened,
    pictures: Sequence[Picture],
    progress: Progress,
    outcome: _Outcome,
    *,
    cached: int,
) -> None:
    """Run the network over some pictures and store their features; `outcome` tells how far it came."""
    engine, recipe = opened.engine, opened.features.recipe
    outcome.device = engine.device
    progress.say(f"running on {engine.device}, float32, {recipe.resize}, batches of {engine.batch_size}")
    started, before = time.monotonic(), len(outcome.done)
    ahead = BATCHES_AHEAD * engine.batch_size
    with (
        stopping_gently() as stop,
        FeatureWriter(opened.features) as writer,
        progress.count(len(pictures), cached=cached) as count,
        decoding_ahead(pictures, recipe.input_size, recipe.resize, outcome.reading, ahead=ahead) as decoded,
    ):
        while batch := list(islice(decoded, engine.batch_size)):
            if stop.is_set():
                raise KeyboardInterrupt
            good = [(each.key, each.pixels) for each in batch if each.key and each.pixels is not None]
            if good:
                keys, pixels = zip(*good, strict=True)
                writer.add(keys, engine.extract(np.stack(pixels))[0])
            for each in batch:
                outcome.note(each)
            count(extracted=len(good), skipped=len(batch) - len(good))
    outcome.rate = (len(outcome.done) - before) / (time.monotonic() - started)
