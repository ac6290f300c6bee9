"""What a head sees of a picture: the features of one set, or of several side by side, in one or more views.

Several backbones joined, `a+b`, are one wider vector; each feature is standardised on its own by the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cache.errors import MissingFeatures
from ..cache.features import FeatureSet
from ..cache.part import Key
from ..cache.store import FeatureStore
from .augmentation import augment_recipe
from .errors import InvalidRequest

JOINT = "+"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Feature sets that are read together."""

    views: tuple[tuple[FeatureSet, ...], ...]
    """Per view, view 0 first, the sets whose rows stand side by side."""

    @property
    def sets(self) -> tuple[FeatureSet, ...]:
        """The sets of view 0."""
        return self.views[0]

    @property
    def backbone(self) -> str:
        """Names of the backbones, joined; what tells their taps apart stands in brackets."""
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

    def keys(self) -> set[Key]:
        """Return the keys of the pictures that have features in all sets of view 0."""
        return set.intersection(*(each.keys() for each in self.sets))

    def read(self, keys: Sequence[Key], view: int = 0) -> NDArray[np.float32]:
        """Return the features of some pictures, shape (n, d), float32; see `FeatureSet.read`."""
        rows = [each.read(keys) for each in self.views[view]]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)

    def read_views(self, keys: Sequence[Key]) -> NDArray[np.float32]:
        """Return the features of some pictures in all views, shape (v * n, d): all of view 0, all of view 1, ...

        Raises
        ------
        MissingFeatures
            Some picture lacks a view; the message says how to make it, and how to do without.
        """
        try:
            rows = [self.read(keys, view) for view in range(len(self.views))]
        except MissingFeatures as error:
            raise MissingFeatures(f"{error}; or train on the pictures themselves with train-head --views 1") from error
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

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
) -> Inputs:
    """Return the feature sets that are asked for.

    Parameters
    ----------
    store : FeatureStore
    backbone, features : str, optional
        Names of backbones, first digits of digests; several are joined by a plus sign.
    views : int, optional
        How many, view 0 included; by default all that there are.
    augment : str, optional
        By which augmentations, where there are views by several.

    Raises
    ------
    UnknownFeatures
        See `FeatureStore.find_feature_set`.
    InvalidRequest
        A set is named twice, the numbers of names and digests differ, or there are fewer views.
    """
    names = backbone.split(JOINT) if backbone else [None]
    digests = features.split(JOINT) if features else [None]
    if len(names) > 1 and len(digests) > 1 and len(names) != len(digests):
        raise InvalidRequest(f"{len(names)} backbones and {len(digests)} feature sets are named: expected as many")
    count = max(len(names), len(digests))
    pairs = zip(names * (count // len(names)), digests * (count // len(digests)), strict=True)
    sets = [store.find_feature_set(name, digest) for name, digest in pairs]
    if len({each.digest for each in sets}) < len(sets):
        raise InvalidRequest(f"{sets[0].recipe.folder} would be joined with itself: expected different feature sets")
    others: list[list[FeatureSet]] = []
    if views != 1:
        way = None if augment is None else augment_recipe(augment)
        others = [store.views_of(each, way) for each in sets]
        fewest = 1 + min(map(len, others))
        if views is not None and views > fewest:
            raise InvalidRequest(
                f"{views} views are asked for, and the store holds {fewest}: run extract-features --views {views}, "
                f"or train-head --views {fewest}"
            )
        others = [found[: (views or fewest) - 1] for found in others]
    return Inputs((tuple(sets), *zip(*others, strict=True)))
