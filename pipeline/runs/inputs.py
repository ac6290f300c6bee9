"""What a head sees of a picture: the features of one set, or of several side by side, in one or more views.

Several backbones joined, `a+b`, are one wider vector; each feature is standardised on its own by the head.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...cache.errors import MissingFeatures, UnknownFeatures
from ...cache.features import FeatureSet
from ...cache.part import Key
from ...cache.store import FeatureStore
from ...models.solvers.streaming import Matrix, cut
from ..errors import InvalidRequest
from ..pictures.augmentation import augment_names, augment_recipe

JOINT = "+"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Feature sets that are read together."""

    views: tuple[tuple[FeatureSet, ...], ...]
    """Per view, view 0 first, the sets whose rows stand side by side."""
    notes: tuple[str, ...] = ()
    """What was left out that somebody may miss."""
    dataset: str = ""
    """Whose pictures are read; for the commands in errors."""

    @property
    def sets(self) -> tuple[FeatureSet, ...]:
        """The sets of view 0."""
        return self.views[0]

    @property
    def backbone(self) -> str:
        """Names of the backbones, joined."""
        return JOINT.join(each.recipe.backbone for each in self.sets)

    @property
    def label(self) -> str:
        """What people are told: backbones, and taps that are not the usual ones."""
        labels = [(each.recipe.backbone, each.recipe.label) for each in self.sets]
        return JOINT.join(f"{name} ({label})" if label else name for name, label in labels)

    @property
    def digest(self) -> str:
        """Digests of the sets of view 0, joined."""
        return JOINT.join(each.digest for each in self.sets)

    @property
    def width(self) -> int:
        """Numbers per row."""
        return sum(each.width for each in self.sets)

    def keys(self) -> set[Key]:
        """Return the keys of the pictures that have features in all sets of view 0."""
        return set.intersection(*(each.keys() for each in self.sets))

    def read(self, keys: Sequence[Key], view: int = 0) -> NDArray[np.float32]:
        """Return the features of some pictures, shape (n, d), float32; see `read_into`."""
        rows = np.empty((len(keys), self.width), dtype=np.float32)
        self.read_into(rows, keys, view)
        return rows

    def read_into(self, rows: Matrix, keys: Sequence[Key], view: int = 0) -> None:
        """Write the features of some pictures into a matrix (n, d).

        Raises
        ------
        MissingFeatures
            Some picture has none; the message says how to make them.
        DamagedFile
            See `FeatureSet.read`.
        """
        left = 0
        for each in self.views[view]:
            columns = slice(left, left := left + each.width)
            try:
                each.read_into(cut(rows, slice(None), columns), keys)
            except MissingFeatures as error:
                raise MissingFeatures(self._remedy(error, each)) from error

    def _remedy(self, error: MissingFeatures, features: FeatureSet) -> str:
        fact = str(error).partition(": run ")[0]
        if not features.recipe.view:
            return f"{fact}: run {extraction_command(features, self.dataset)}"
        command = extraction_command(features, self.dataset, views=len(self.views), augment=features.recipe.augment)
        return (
            f"{fact} in view {features.recipe.view}: run {command} (with --views-for all for --tta), "
            "or train on the pictures themselves with --views 1"
        )

    def note_use(self) -> None:
        """Note that the rows are asked for."""
        for sets in self.views:
            for each in sets:
                each.note_use()


def choose_inputs(
    store: FeatureStore,
    backbone: str | None = None,
    features: str | None = None,
    *,
    views: int | None = None,
    augment: str | None = None,
    dataset: str = "",
) -> Inputs:
    """Return the feature sets that are asked for.

    Parameters
    ----------
    store : FeatureStore
    backbone, features : str, optional
        Names of backbones, first digits of digests, in the same order; several are joined by a plus sign.
    views : int, optional
        How many, view 0 included; by default all that there are.
    augment : str, optional
        By which augmentations, where there are views by several.
    dataset : str
        For the commands in errors.

    Raises
    ------
    UnknownFeatures
        See `FeatureStore.find_feature_set`; or there are no such views, or several kinds and none is named.
    InvalidRequest
        A set is named twice, the numbers of names and digests differ, or there are fewer views.
    """
    names = _parts(backbone)
    digests = _parts(features)
    if len(names) > 1 and len(digests) > 1 and len(names) != len(digests):
        raise InvalidRequest(f"{len(names)} backbones and {len(digests)} feature sets are named: expected as many")
    count = max(len(names), len(digests))
    pairs = zip(names * (count // len(names)), digests * (count // len(digests)), strict=True)
    sets = tuple(store.find_feature_set(name, digest) for name, digest in pairs)
    if len({each.digest for each in sets}) < len(sets):
        raise InvalidRequest(f"{sets[0].recipe.folder} would be joined with itself: expected different feature sets")
    if views is not None and views < 1:
        raise InvalidRequest(f"{views} views are asked for: expected 1, the picture itself, or more")
    if views == 1:
        if augment is not None:
            raise InvalidRequest(f"--augment {augment} chooses further views, but --views 1 takes none: leave one out")
        return Inputs((sets,), dataset=dataset)
    others, notes = _choose_views(store, sets, augment, dataset)
    if views is not None and views > 1 + len(others):
        way = others[0][0].recipe.augment if others else None
        command = extraction_command(sets[0], dataset, views=views, augment=way)
        raise InvalidRequest(
            f"{views} views are asked for, and the store holds {1 + len(others)}: run {command}, "
            f"or train with --views {1 + len(others)}"
        )
    return Inputs((sets, *others[: None if views is None else views - 1]), tuple(notes), dataset)


def extraction_command(
    features: FeatureSet, dataset: str, *, views: int | None = None, augment: str | None = None, every: bool = False
) -> str:
    """Return the command that adds rows to a feature set of a data set, or further views beside it.

    Parameters
    ----------
    features : FeatureSet
    dataset : str
    views : int, optional
        How many; by default as the set was begun.
    augment : str, optional
        As it stands in a recipe.
    every : bool
        Views are wanted of all splits.
    """
    words = shlex.split(features.command())
    given = {"--views": views, "--augment": augment and augment_names(augment), "--dataset": dataset}
    given["--views-for"] = "all" if every else None
    for option, value in given.items():
        if value:
            if option in words:
                at = words.index(option)
                del words[at : at + 2]
            words += [option, str(value)]
    return shlex.join(words)


def _parts(names: str | None) -> list[str | None]:
    if names is None:
        return [None]
    parts = names.split(JOINT)
    if not all(parts):
        raise InvalidRequest(f"{names!r} joins nothing with something: expected names with a plus sign between, a+b")
    return list(parts)


def _choose_views(
    store: FeatureStore, sets: Sequence[FeatureSet], augment: str | None, dataset: str
) -> tuple[list[tuple[FeatureSet, ...]], list[str]]:
    """Return, per further view, the sets that stand side by side; and what was left out, in words."""
    found = [store.views_of(each) for each in sets]
    ways = sorted({augment_names(each.recipe.augment) for views in found for each in views})
    if augment is not None:
        wanted = augment_names(augment_recipe(augment))
        if wanted not in ways:
            there = f"expected those by {' or by '.join(ways)}, or " if ways else ""
            command = extraction_command(sets[0], dataset, views=2, augment=augment_recipe(augment))
            raise UnknownFeatures(f"{store.folder} holds no views by {wanted}: {there}run {command}")
        ways = [wanted]
    if len(ways) > 1:
        raise UnknownFeatures(
            f"{store.folder} holds views by several augmentations: {' and '.join(ways)}; choose one with --augment"
        )
    if not ways:
        return [], []
    recipe = augment_recipe(ways[0])
    numbered = [{each.recipe.view: each for each in views if each.recipe.augment == recipe} for views in found]
    most = max(max(views, default=0) for views in numbered)
    chosen: list[tuple[FeatureSet, ...]] = []
    for number in range(1, most + 1):
        lacking = [each for each, views in zip(sets, numbered, strict=True) if number not in views]
        if lacking:
            command = extraction_command(lacking[0], dataset, views=most + 1, augment=recipe)
            note = f"views from {number} on are left out, since {lacking[0].recipe.folder} lacks it: run {command}"
            return chosen, [note]
        chosen.append(tuple(views[number] for views in numbered))
    return chosen, []
