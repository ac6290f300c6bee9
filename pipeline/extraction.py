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

from ..cache.features import FeatureSet, Plan, plan_extraction
from ..cache.part import Key
from ..cache.recipe import Recipe
from ..cache.refusals import Refusal
from ..cache.store import FeatureStore
from ..cache.table import Dataset, Skipped
from ..models.backbones import Backbone, find_backbone
from ..models.backend import device_name
from ..models.engines import TensorFlowEngine
from . import images as decoding
from .dataset import build_dataset, choose_root, find_keys
from .errors import TooManyUnreadable
from .examples import refusals_that_hold
from .feed import Decoded, Picture, decoding_ahead
from .frozen import FrozenBackbone
from .images import DEFAULT_POLICY, ReadingPolicy
from .interruption import stopping_gently
from .layout import list_images
from .progress import SILENT, Progress
from .provenance import describe_environment
from .resizing import choose_resize

BATCH_SIZE = 32
"""Pinned in a feature set when it is begun; see recipe.json."""
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
    max_bad: float = 1.0,
    reading: ReadingPolicy = DEFAULT_POLICY,
    resize: str | None = None,
    retry: bool = False,
    progress: Progress = SILENT,
) -> Extraction:
    """Extract the features that are missing, and return what was found and done.

    Parameters
    ----------
    images : path, optional
        Folder of pictures; without it the data set that the store knows, `./images` or `./data`.
    backbone : str
        A name of `BACKBONES`.
    weights : str
        `imagenet`, `random`, `random:SEED` or the path of a file.
    store : path
        Folder that keeps everything.
    dataset : str, optional
        Name of the data set; the folder's name by default.
    seed : int, optional
        Of the hashed splits; by default the one that the data set has, or 0.
    max_bad : float
        Greatest fraction of skipped pictures that `Extraction.check` accepts.
    reading : ReadingPolicy
        What is read and what is refused.
    resize : str, optional
        `squash`, `crop` or `pad`; by default what the backbone's record says.
    retry : bool
        Try again what was refused before.

    Raises
    ------
    PipelineError, ModelError, CacheError
        See their modules; nothing that was stored is lost.
    KeyboardInterrupt
        On SIGINT or SIGTERM, after what was extracted has been stored.
    """
    started = time.monotonic()
    kept = FeatureStore(store)
    record = find_backbone(backbone)
    root, name = choose_root(None if images is None else Path(images), kept, dataset)
    if seed is None:
        origin = kept.dataset_origin(name)
        seed = origin.seed if origin else 0
    listing = list_images(root, leave_out=kept.folder)
    # Weights first: where they are missing, nothing has been created yet.
    frozen = FrozenBackbone(record, weights, kept.index, progress)
    recipe = _recipe(record, frozen.digest, reading, choose_resize(record.resize, resize))
    features = kept.feature_set(recipe)

    keys, unreadable, hashed = find_keys(listing, kept.index)
    # What was read on another try has features, whatever was said of it before.
    there = features.keys()
    refusals = {key: why for key, why in refusals_that_hold(kept, reading).items() if not retry and key not in there}
    lost = [*listing.skipped, *unreadable]
    table = build_dataset(name, listing, keys, seed=seed, unreadable=refusals, skipped=lost)
    wanted = [row.key for row in table.rows]
    first = plan = plan_extraction(wanted, there, refusals)
    kept.index.remember(hashed)
    frozen.remember()
    kept.save_dataset(table)
    progress.say(_summary(table, plan, len(lost)))

    outcome = _Outcome(reading)
    while plan.missing:
        try:
            _extract(features, frozen, _first_paths(table, plan.missing), progress, outcome, cached=len(first.present))
        finally:
            kept.add_refusals(outcome.take_refused(refusals))
        # What was really read counts: a file may have changed or gone since it was hashed. Each turn
        # of this loop stores rows, learns of refusals or loses files, so it ends.
        keys = {path: key for path, key in (keys | outcome.changed).items() if path not in outcome.lost}
        skipped = [*lost, *(Skipped(path, reason) for path, reason in outcome.lost.items())]
        table = build_dataset(name, listing, keys, seed=seed, unreadable=refusals, skipped=skipped)
        kept.save_dataset(table)
        plan = plan_extraction([row.key for row in table.rows], features.keys(), refusals)
    features.refresh()
    unreadable_keys = set(plan.refused)
    refused = [Skipped(row.path, refusals[row.key]) for row in table.rows if row.key in unreadable_keys]
    for note in table.notes:
        progress.warn(note)
    return Extraction(
        dataset=name,
        seed=seed,
        backbone=record.name,
        digest=features.digest,
        images=len(listing.files) + len(listing.skipped),
        cached=len(first.present),
        extracted=len(outcome.done),
        duplicates=len(wanted) - len(set(wanted)),
        skipped=(*table.skipped, *refused),
        rows=len(plan.present),
        width=record.width,
        features=features.path if features.has_parts() else None,
        seconds=time.monotonic() - started,
        images_per_second=outcome.rate,
        device=outcome.device,
        notes=table.notes,
        max_bad=max_bad,
    )


def _recipe(backbone: Backbone, weights: str, reading: ReadingPolicy, resize: str) -> Recipe:
    return Recipe(
        backbone=backbone.name,
        weights=weights,
        input_size=backbone.input_size,
        decoder=reading.decoder,
        colour=reading.colour,
        orientation=decoding.ORIENTATION,
        resize=resize,
        preprocessing=str(backbone.preprocessing),
        layer="last",
        pooling="avg",
        precision="float32",
        view=0,
    )


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
    features: FeatureSet,
    frozen: FrozenBackbone,
    pictures: Sequence[Picture],
    progress: Progress,
    outcome: _Outcome,
    *,
    cached: int,
) -> None:
    """Run the network over some pictures and store their features; `outcome` tells how far it came."""
    provenance = {
        "engine": TensorFlowEngine.name,
        "batch_size": BATCH_SIZE,
        "width": frozen.backbone.width,
        "weights": frozen.request,
        "device": device_name(),
        **describe_environment(),
    }
    batch_size = features.begin(provenance)["batch_size"]
    progress.say(f"loading {frozen.backbone.name}")
    engine = TensorFlowEngine(frozen.backbone, frozen.load()[0], batch_size=batch_size)
    outcome.device = engine.device
    progress.say(f"running on {engine.device}, float32, batches of {batch_size}")
    started, before = time.monotonic(), len(outcome.done)
    size, resize = features.recipe.input_size, features.recipe.resize
    with (
        stopping_gently() as stop,
        features.writer() as writer,
        progress.count(len(pictures), cached=cached) as count,
        decoding_ahead(pictures, size, resize, outcome.reading, ahead=BATCHES_AHEAD * batch_size) as decoded,
    ):
        while batch := list(islice(decoded, batch_size)):
            if stop.is_set():
                raise KeyboardInterrupt
            good = [(each.key, each.pixels) for each in batch if each.key and each.pixels is not None]
            if good:
                keys, pixels = zip(*good, strict=True)
                writer.add(keys, engine.extract(np.stack(pixels)))
            for each in batch:
                outcome.note(each)
            count(extracted=len(good), skipped=len(batch) - len(good))
    outcome.rate = (len(outcome.done) - before) / (time.monotonic() - started)


def _first_paths(table: Dataset, keys: Sequence[Key]) -> list[Picture]:
    """Return one file per key, in the order of the keys."""
    paths: dict[Key, str] = {}
    for row in table.rows:
        paths.setdefault(row.key, row.path)
    return [Picture(table.origin.root / paths[key], paths[key], key) for key in keys]


def _summary(table: Dataset, plan: Plan, unreadable: int) -> str:
    distinct = len(plan.missing) + len(plan.present) + len(plan.refused)
    parts = [f"{len(table.rows) + unreadable:,} images: {len(plan.present):,} cached, {len(plan.missing):,} new"]
    if len(table.rows) > distinct:
        parts.append(f"{len(table.rows) - distinct:,} duplicates")
    if plan.refused:
        parts.append(f"{len(plan.refused):,} refused earlier")
    if unreadable:
        parts.append(f"{unreadable:,} unreadable")
    return "; ".join(parts)
