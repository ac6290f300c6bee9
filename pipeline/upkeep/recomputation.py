"""Are the stored rows those that the present installation makes? Some are made again and compared.

The probe of a feature set tells in advance; this tells by how much real rows differ.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.features import FeatureSet
from ...cache.part import Key
from ...cache.remedies import on_store
from ...cache.store import FeatureStore
from ...models.backbones.taps import Tap
from ...models.engines.engines import EngineChoice, choose_engine
from ...models.errors import UnsuitableSetting
from ..errors import NoImages
from ..extraction.reopening import find_network, request_of
from ..pictures.feed import Frame, Picture, decoding_ahead
from ..progress import SILENT, Progress
from .holdings import choose_folders


@dataclass(frozen=True, slots=True)
class Recomputation:
    """How rows that were made again compare with those that are stored."""

    name: str
    rows: int
    """That were made again."""
    gone: int
    """Pictures that were chosen but have changed or gone."""
    greatest_difference: float | None
    """Greatest absolute difference of a feature; None where no row could be made."""
    relative_difference: float | None
    """The same as a share of the greatest absolute stored feature."""
    lowest_cosine: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "features": self.name,
            "rows": self.rows,
            "gone": self.gone,
            "greatest_difference": self.greatest_difference,
            "relative_difference": self.relative_difference,
            "lowest_cosine": self.lowest_cosine,
        }

    def __str__(self) -> str:
        """Return it in a line."""
        gone = f", {self.gone:,} pictures changed or gone" if self.gone else ""
        if self.greatest_difference is None:
            return f"{self.name}: no row made again{gone}"
        return (
            f"{self.name}: {self.rows:,} rows made again{gone}; greatest difference {self.greatest_difference:.3g} "
            f"({self.relative_difference:.3%} of the greatest value), lowest cosine {self.lowest_cosine:.6f}"
        )


def recompute_rows(
    count: int,
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> list[Recomputation]:
    """Make some random rows of the chosen feature sets again and compare; nothing is written.

    Parameters
    ----------
    count : int
        Rows per feature set.
    seed : int
        Of the choice.

    Raises
    ------
    UnknownFeatures
        Nothing fits.
    InvalidRequest
        A set was made by a recipe that this version or these weights cannot follow.
    NoImages
        No picture of a set is in any data set.
    """
    kept = FeatureStore(store)
    chosen = [FeatureSet.load(folder) for folder in choose_folders(kept, backbone, features)]
    return [_recompute(kept, each, count, seed, progress) for each in chosen if each.has_parts()]


def _recompute(store: FeatureStore, features: FeatureSet, count: int, seed: int, progress: Progress) -> Recomputation:
    begun, recipe = features.begun, features.recipe
    assert begun is not None
    request = request_of(store, features, progress)
    frozen = find_network(store, features, request)
    choice = _choose(begun.provenance, frozen.backbone.name, frozen.precision)
    tap, frame = Tap(recipe.layer, recipe.pooling), Frame.of(recipe)
    pictures = _pictures(store, features.keys(), frame)
    if not pictures:
        raise NoImages(
            f"no picture of {features.recipe.folder} is in any data set of {store.folder}: "
            f"run {on_store('extract-features IMAGES', store.folder)} on their folder first"
        )
    pictures = random.Random(seed).sample(pictures, min(count, len(pictures)))
    progress.say(f"making {len(pictures):,} rows of {features.recipe.folder} again")
    engine = frozen.start_with_fallback(choice, [tap], asked=False, keep=False)
    keys, made = [], []
    with decoding_ahead(pictures, request["reading"], ahead=engine.batch_size) as decoded:
        for each in decoded:
            if each.pixels is not None and each.key == each.expected:
                keys.append(each.expected)
                made.append(engine.extract(each.pixels[frame][None])[0][0].astype(np.float64))
    gone = len(pictures) - len(keys)
    if not keys:
        return Recomputation(features.recipe.folder, 0, gone, None, None, None)
    stored, again = features.read(keys).astype(np.float64), np.stack(made)  # (n, d) each
    greatest = float(np.abs(stored - again).max())
    scale = float(np.abs(stored).max())
    norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(again, axis=1)
    cosines = (stored * again).sum(axis=1) / np.where(norms > 0, norms, 1.0)
    return Recomputation(
        name=features.recipe.folder,
        rows=len(keys),
        gone=gone,
        greatest_difference=greatest,
        relative_difference=greatest / scale if scale else 0.0,
        lowest_cosine=float(cosines.min()),
    )


def _choose(provenance: dict[str, Any], backbone: str, precision: str) -> EngineChoice:
    """Return what a feature set was begun with; in float32 another engine where this machine has not that one."""
    begun, size = provenance["engine"], provenance["batch_size"]
    try:
        return choose_engine(backbone, precision=precision, engine=begun, batch_size=size)
    except UnsuitableSetting:
        if precision != "float32":
            raise
        return choose_engine(backbone)


def _pictures(store: FeatureStore, keys: set[Key], frame: Frame) -> list[Picture]:
    """Return one file per key that a data set knows, in the order of the keys."""
    found: dict[Key, Picture] = {}
    for name in store.dataset_names():
        table = store.find_dataset(name)
        for row in table.rows:
            if row.key in keys:
                found.setdefault(row.key, Picture(table.origin.place(row.path), row.path, row.key, (frame,)))
    return [found[key] for key in sorted(found)]
