"""What an extraction would have to do: the pictures, their keys, the recipe, and what is there already.

Nothing is written and no picture is decoded here. `extract_features` goes on from it; `plan_features`
and `explain_features` only tell it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from ..cache.features import FeatureSet
from ..cache.index import Hashed
from ..cache.part import Key
from ..cache.plan import Plan, plan_extraction
from ..cache.recipe import Recipe
from ..cache.store import FeatureStore
from ..cache.table import Dataset, Skipped
from ..models.backbone import Backbone
from ..models.backbones import find_backbone
from .dataset import build_dataset, choose_source, find_keys, settle_choices
from .examples import refusals_that_hold
from .feed import Picture
from .frozen import FrozenBackbone
from .images import DEFAULT_POLICY, ORIENTATION, ReadingPolicy
from .labelling import Labelling
from .layout import Listing, list_images
from .progress import SILENT, Progress
from .resizing import choose_resize


@dataclass(frozen=True, slots=True)
class Survey:
    """The state of a data set and of its features before an extraction."""

    store: FeatureStore
    listing: Listing
    keys: dict[str, Key]
    """Path to key, of every file that can be opened."""
    hashed: list[Hashed]
    """What the index does not know yet."""
    lost: list[Skipped]
    """Files that cannot be opened."""
    refusals: dict[Key, str]
    table: Dataset
    frozen: FrozenBackbone
    reading: ReadingPolicy
    recipe: Recipe
    features: FeatureSet
    """The newest generation of the recipe, or the one that would be begun."""
    plan: Plan
    changes: tuple[str, ...]
    """Settings of the data set that are others than those it had."""

    @property
    def duplicates(self) -> int:
        """Files whose bytes another file has, too."""
        return len(self.table.rows) - len({row.key for row in self.table.rows})

    @property
    def images(self) -> int:
        """Picture files considered."""
        return len(self.table.rows) + len(self.table.skipped)

    def __str__(self) -> str:
        """Return the line that every run says."""
        plan = self.plan
        parts = [f"{self.images:,} images: {len(plan.present):,} cached, {len(plan.missing):,} new"]
        if self.duplicates:
            parts.append(f"{self.duplicates:,} duplicates")
        if plan.refused:
            parts.append(f"{len(plan.refused):,} refused earlier")
        if self.lost:
            parts.append(f"{len(self.lost):,} unreadable")
        return "; ".join(parts)


class Request(TypedDict, total=False):
    """What an extraction is asked for, besides the pictures; see `extract_features` for each."""

    backbone: str
    weights: str
    store: str | Path
    dataset: str | None
    seed: int | None
    labelling: Labelling | None
    reading: ReadingPolicy
    resize: str | None
    retry: bool
    progress: Progress


def survey_images(images: str | Path | None, **request: Unpack[Request]) -> Survey:
    """Return what there is; see `extract_features` for the errors."""
    kept = FeatureStore(request.get("store", "bottlenecks"))
    record = find_backbone(request.get("backbone", "efficientnet-lite0"))
    source, name = choose_source(None if images is None else Path(images), kept, request.get("dataset"))
    seed, labelling, changes = settle_choices(kept, name, seed=request.get("seed"), labelling=request.get("labelling"))
    listing = list_images(source, labelling, leave_out=kept.folder)
    # Weights first: where they are missing, nothing has been created yet.
    frozen = FrozenBackbone(record, request.get("weights", "imagenet"), kept.index, request.get("progress", SILENT))
    reading = request.get("reading", DEFAULT_POLICY)
    recipe = recipe_of(record, frozen.digest, reading, choose_resize(record.resize, request.get("resize")))
    generations = kept.generations(recipe)
    features = generations[0] if generations else kept.feature_set(recipe)
    keys, unreadable, hashed = find_keys(listing, kept.index)
    there = features.keys()
    # What was read on another try has features, whatever was said of it before.
    refused = {} if request.get("retry") else refusals_that_hold(kept, reading)
    refusals = {key: reason for key, reason in refused.items() if key not in there}
    lost = [*listing.skipped, *unreadable]
    table = build_dataset(name, listing, keys, seed=seed, unreadable=refusals, skipped=lost)
    plan = plan_extraction([row.key for row in table.rows], there, refusals)
    return Survey(
        kept, listing, keys, hashed, lost, refusals, table, frozen, reading, recipe, features, plan, tuple(changes)
    )


def recipe_of(backbone: Backbone, weights: str, reading: ReadingPolicy, resize: str) -> Recipe:
    """Return the recipe of a backbone with some weights, by their digest, and of how pictures are read."""
    return Recipe(
        backbone=backbone.name,
        weights=weights,
        input_size=backbone.input_size,
        decoder=reading.decoder,
        colour=reading.colour,
        orientation=ORIENTATION,
        resize=resize,
        preprocessing=str(backbone.preprocessing),
        layer="last",
        pooling="avg",
        precision="float32",
        view=0,
    )


def first_paths(table: Dataset, keys: tuple[Key, ...]) -> list[Picture]:
    """Return one file per key, in the order of the keys."""
    paths: dict[Key, str] = {}
    for row in table.rows:
        paths.setdefault(row.key, row.path)
    return [Picture(table.origin.root / paths[key], paths[key], key) for key in keys]
