"""What an extraction would have to do: the pictures, their keys, the recipes, and what is there already.

Nothing is written and no picture is decoded here. `extract_features` goes on from it; `plan_features`
and `explain_features` only tell it.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Unpack

from ...cache.features import FeatureSet
from ...cache.index import Stamp
from ...cache.part import Key
from ...cache.places import place_of
from ...cache.plan import Plan, plan_extraction
from ...cache.recipe import Recipe
from ...cache.store import FeatureStore
from ...cache.table import Dataset, Origin, Skipped
from ...models.backbones.backbone import Backbone
from ...models.backbones.resolving import resolve_backbone
from ...models.backbones.taps import Tap
from ...models.engines.engines import choose_engine
from ...models.errors import UnsuitableSetting
from ..datasets.dataset import FoundKeys, build_dataset, choose_source, finding_keys, settle_choices
from ..datasets.examples import check_classes, refusals_that_hold
from ..datasets.layout import Listing, list_images
from ..pictures.augmentation import augment_recipe
from ..pictures.feed import Frame, Picture
from ..pictures.images import ORIENTATION, ReadingPolicy
from ..pictures.resizing import choose_resize
from .frozen import FrozenBackbone
from .narrowing import settle_precision
from .request import Request, complete


@dataclass(frozen=True, slots=True)
class Wanted:
    """A feature set that is to be filled."""

    features: FeatureSet
    """The newest generation of the recipe, or the one that would be begun."""
    plan: Plan

    @property
    def recipe(self) -> Recipe:
        """The recipe of the set."""
        return self.features.recipe

    @property
    def frame(self) -> Frame:
        """How pictures come to the network."""
        return Frame.of(self.recipe)


@dataclass(frozen=True, slots=True)
class Family:
    """A backbone, where it is tapped, and the views that are to be had."""

    frozen: FrozenBackbone
    tap: Tap
    views: tuple[Wanted, ...]
    """View 0 first."""

    @property
    def first(self) -> Wanted:
        """View 0: the pictures themselves."""
        return self.views[0]

    @property
    def missing(self) -> int:
        """Rows that are to be extracted, in all views."""
        return sum(len(view.plan.missing) for view in self.views)

    def __str__(self) -> str:
        """Return in a phrase what is there and what is not."""
        plan = self.first.plan
        text = f"{len(plan.present):,} cached, {len(plan.missing):,} new"
        if others := self.views[1:]:
            there = sum(len(view.plan.present) for view in others)
            missing = sum(len(view.plan.missing) for view in others)
            text += f", in {len(others)} more views {there:,} cached, {missing:,} new"
        return text


@dataclass(frozen=True)
class Survey:
    """The state of a data set and of its features before an extraction."""

    request: Request
    """What is asked for; complete."""
    store: FeatureStore
    listing: Listing
    found: FoundKeys
    """The keys of the files, and what the index does not know of them."""
    lost: list[Skipped]
    """Files that cannot be opened."""
    refusals: dict[Key, str]
    table: Dataset
    families: tuple[Family, ...]
    """One per backbone and layer."""
    changes: tuple[str, ...]
    """Settings of the data set that are others than those it had."""

    @cached_property
    def duplicates(self) -> int:
        """Files whose bytes another file has, too."""
        return len(self.table.rows) - len({row.key for row in self.table.rows})

    @property
    def images(self) -> int:
        """Picture files considered."""
        return len(self.table.rows) + len(self.table.skipped)

    def __str__(self) -> str:
        """Return the line that every run says, or one per family."""
        tail = [f"{self.duplicates:,} duplicates"] if self.duplicates else []
        if refused := len(self.families[0].first.plan.refused):
            tail.append(f"{refused:,} refused earlier")
        if self.found.unread:
            tail.append(f"{len(self.found.unread):,} to be fetched")
        if self.lost:
            tail.append(f"{len(self.lost):,} unreadable")
        if len(self.families) == 1:
            return "; ".join([f"{self.images:,} images: {self.families[0]}", *tail])
        lines = [f"{_names(family)}: {family}" for family in self.families]
        return "\n".join(["; ".join([f"{self.images:,} images", *tail]), *lines])


def survey_images(images: str | Path | None, *, trainable: bool = False, **request: Unpack[Request]) -> Survey:
    """Return what there is; see `extract_feature_sets` for the errors."""
    asked = complete(request)
    kept = FeatureStore(asked["store"])
    records = _find_backbones(asked)
    source, name = choose_source(None if images is None else place_of(images), kept, asked["dataset"])
    seed, labelling, changes = settle_choices(kept, name, seed=asked["seed"], labelling=asked["labelling"])
    listing = list_images(source, labelling, leave_out=kept.folder)
    if trainable:
        # Labels are known from here on, before a network is looked for.
        labels = {file.label for file in listing.files if file.label and file.split in (None, "train")}
        check_classes(name, Origin(listing.root, seed, listing.table), listing.files, sorted(labels))
    with finding_keys(listing, kept.index) as finding:
        # Meanwhile, since a network may have to be loaded for its digest; where weights are missing it ends here.
        recipes = _choose_recipes(records, kept, asked)
        found = finding.result()
    there = {each.digest: each.keys() for _, _, sets in recipes for each in sets}
    # What was read on another try has features, whatever was said of it before.
    refused = {} if asked["retry"] else refusals_that_hold(kept, asked["reading"])
    read = set().union(*(there[sets[0].digest] for _, _, sets in recipes)) if refused else set()
    refusals = {key: reason for key, reason in refused.items() if key not in read}
    lost = [*listing.skipped, *found.skipped]
    table = build_dataset(name, listing, found.keys, seed=seed, unreadable=refusals, skipped=lost)
    families = tuple(
        Family(
            frozen,
            tap,
            tuple(plan_view(each, there[each.digest], table, refusals, asked, unread=found.unread) for each in sets),
        )
        for frozen, tap, sets in recipes
    )
    return Survey(asked, kept, listing, found, lost, refusals, table, families, tuple(changes))


def recipes_of(store: FeatureStore, request: Request) -> list[tuple[FrozenBackbone, Tap, list[FeatureSet]]]:
    """Return what a complete request is for: per backbone and layer the network, the tap and the sets of its views."""
    return _choose_recipes(_find_backbones(request), store, request)


def plan_view(
    features: FeatureSet,
    there: Set[Key],
    table: Dataset,
    refusals: Collection[Key],
    request: Request,
    *,
    unread: Collection[str] = (),
) -> Wanted:
    """Return what a feature set, which has the rows `there`, lacks of a data set.

    The split of what is `unread` hangs on its bytes, so its further views are planned when it has been read.
    """
    everything = not features.recipe.view or request["views_for"] == "all"
    wanted = [row.key for row in table.rows if everything or (row.split == "train" and row.path not in unread)]
    return Wanted(features, plan_extraction(wanted, there, refusals))


def recipe_of(
    backbone: Backbone,
    weights: str,
    reading: ReadingPolicy,
    resize: str,
    *,
    tap: Tap = Tap(),  # noqa: B008 - frozen
    precision: str = "float32",
    engine: str = "tensorflow",
) -> Recipe:
    """Return the recipe of a backbone with some weights, by their digest, and of how pictures are read.

    In float32 the engine does not count: all give the same numbers within the probe's tolerance.
    """
    return Recipe(
        backbone=backbone.name,
        weights=weights,
        input_size=backbone.input_size,
        decoder=reading.decoder,
        colour=reading.colour,
        orientation=ORIENTATION,
        resize=resize,
        preprocessing=str(backbone.preprocessing),
        layer=tap.layer,
        pooling=tap.pooling,
        # A narrower type gives other numbers on every engine.
        precision=precision if precision == "float32" else f"{precision} on {engine}",
    )


def pictures_of(
    table: Dataset, wanted: Iterable[Wanted], stamps: Mapping[str, Stamp] = MappingProxyType({})
) -> list[Picture]:
    """Return the pictures that some feature sets lack, each once with all frames that are wanted of it.

    They are in the order of the data set, and of equal files the first is taken. `stamps` are of what lies
    elsewhere, by path.
    """
    frames: dict[Key, dict[Frame, None]] = {}
    for each in wanted:
        for key in each.plan.missing:
            frames.setdefault(key, {})[each.frame] = None
    pictures = []
    for row in table.rows:
        if chosen := frames.pop(row.key, None):
            size = stamps[row.path].size if row.path in stamps else None
            pictures.append(Picture(table.origin.place(row.path), row.path, row.key, tuple(chosen), size))
    return pictures


def _names(family: Family) -> str:
    label = family.first.recipe.label
    return f"{family.frozen.backbone.name} ({label})" if label else family.frozen.backbone.name


def _find_backbones(request: Request) -> dict[str, Backbone]:
    """Return the records that are asked for, by the names that they were asked for with."""
    size, preprocessing = request["input_size"], request["preprocessing"]
    return {name: resolve_backbone(name, input_size=size, preprocessing=preprocessing) for name in request["backbones"]}


def _choose_recipes(
    records: Mapping[str, Backbone], store: FeatureStore, request: Request
) -> list[tuple[FrozenBackbone, Tap, list[FeatureSet]]]:
    """Return, per backbone and layer, the feature sets of its views."""
    augment = augment_recipe(request["augment"])
    precision = "float32" if request["precision"] == "auto" else request["precision"]
    taps = [Tap(layer, request["pooling"]) for layer in dict.fromkeys(request["layers"])]
    chosen = []
    seen: set[str] = set()
    for name, record in records.items():
        asked = {"backbone": name, "preprocessing": request["preprocessing"]}
        engine = request["engine"]
        if record.complete and precision != "float32":
            if engine == "openvino":
                raise UnsuitableSetting(
                    f"{record.name} was saved to compute in a precision of its own: leave out --engine openvino"
                )
            # Only there a network computes in what it was saved in.
            engine = "tensorflow"
        choice = choose_engine(
            record.name,
            precision=precision,
            engine=engine,
            batch_size=request["batch_size"],
            device=request["device"],
        )
        if choice.device.note:
            request["progress"].warn(choice.device.note)
        frozen = FrozenBackbone(
            record, request["weights"], store, request["progress"], choice=choice, precision=precision, asked=asked
        )
        resize = choose_resize(record.resize, request["resize"])
        recipe_in = partial(recipe_of, record, frozen.digest, request["reading"], resize)
        if request["precision"] == "auto":
            settle_precision(frozen, taps, request, store, recipe_in)
        for tap in taps:
            recipe = recipe_in(tap=tap, precision=frozen.precision, engine=frozen.choice.engine)
            generations = store.generations(recipe)
            first = generations[0] if generations else store.feature_set(recipe)
            # The same may be asked for in two spellings.
            if first.digest in seen:
                continue
            seen.add(first.digest)
            views = range(1, request["views"])
            others = [store.feature_set(first.recipe.of_view(number, augment)) for number in views]
            chosen.append((frozen, tap, [first, *others]))
    return chosen
