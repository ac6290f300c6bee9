"""Where pictures lie among each other by their features: a plane, made once and then kept beside the report.

`report/<data set>/maps/<digest>.json` may be deleted at any time. The digest is of the features and of the pictures.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...cache.errors import DamagedFile, MissingFeatures
from ...cache.files import read_json, remove, write_json
from ...cache.part import Key
from ...cache.store import FeatureStore
from ..runs.inputs import JOINT, Inputs

FORMAT = 1
MOST = 500
"""More points hide one another, and t-SNE takes long."""
FEWEST = 3
KEPT = 10
"""Maps; of more, the oldest go."""
SIDE = 1000
"""Of the square that the points lie in."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """Points on planes of `SIDE` by `SIDE`, in the order of the keys asked."""

    linear: Points
    """By the first two principal components."""
    share: float
    """Of the variance that those two tell, 0..1."""
    neighbours: Points | None
    """By t-SNE; None where there are too few pictures."""


def map_features(store: FeatureStore, features_digest: str, keys: Sequence[Key], *, folder: Path) -> FeatureMap:
    """Return the map of some pictures, made or kept.

    Parameters
    ----------
    store : FeatureStore
    features_digest : str
        Of the feature sets that a run learned from, joined by a plus sign.
    keys : sequence of Key
        At least `FEWEST`, at most `MOST`.
    folder : Path
        That keeps maps.

    Raises
    ------
    MissingFeatures, DamagedFile
        The store has not all of the features, or not as they were written.
    """
    named = hashlib.sha256(f"{FORMAT} {features_digest} {SIDE}".encode())
    for key in keys:
        named.update(key)
    path = folder / f"{named.hexdigest()[:24]}.json"
    try:
        kept = read_json(path)
        if len(kept["linear"]) == len(keys):
            return FeatureMap(_pairs(kept["linear"]), kept["share"], kept["neighbours"] and _pairs(kept["neighbours"]))
    except (FileNotFoundError, DamagedFile, KeyError, TypeError, ValueError):
        # Not there, or damaged: made anew.
        pass
    made = _project(_read_features(store, features_digest, keys))
    write_json(path, {"linear": made.linear, "share": made.share, "neighbours": made.neighbours})
    for old in sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime)[:-KEPT]:
        remove(old)
    return made


def _read_features(store: FeatureStore, digest: str, keys: Sequence[Key]) -> NDArray[np.float32]:
    sets = {features.digest: features for features in store.feature_sets()}
    joined = digest.split(JOINT)
    if lacking := [each for each in joined if each not in sets]:
        raise MissingFeatures(f"{store.folder} has no features {lacking[0][:12]} any more: run extract-features again")
    return Inputs((tuple(sets[each] for each in joined),)).read(keys)


def _project(rows: NDArray[np.float32]) -> FeatureMap:
    from ...models.projection import FEWEST_NEIGHBOURS, project_linear, project_neighbours

    linear, share = project_linear(rows)
    neighbours = project_neighbours(rows, seed=0) if len(rows) >= FEWEST_NEIGHBOURS else None
    return FeatureMap(_fit(linear), round(share, 4), None if neighbours is None else _fit(neighbours))


def _fit(points: NDArray[np.float64]) -> Points:
    """Return points moved and scaled, alike in both directions, to lie in the square."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    placed = (points - (low + high) / 2) / extent * SIDE + SIDE / 2
    return _pairs(placed.round(1).tolist())


def _pairs(values: Sequence[Sequence[float]]) -> Points:
    return tuple((float(x), float(y)) for x, y in values)
