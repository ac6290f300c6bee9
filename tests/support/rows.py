"""Keys and rows made from numbers, and a recipe for them; for tests of the store."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from demijohn.cache import SPLITS, FeatureSet, FeatureStore, Key, Recipe
from demijohn.cache.probe import Probe
from demijohn.cache.runs import FORMAT
from demijohn.cache.writer import FeatureWriter
from numpy.typing import NDArray

WIDTH = 5
PROBE = Probe({"picture": np.arange(WIDTH, dtype=np.float32)})


RUN = {
    **dict.fromkeys(("run", "backbone", "inputs", "head", "dataset", "features_digest", "examples_digest"), "x"),
    **{name: {} for name in ("settings", "found", "request")},
    **{name: [] for name in ("classes", "warnings")},
    **dict.fromkeys(("seed", "views", "seconds"), 1),
    "format": FORMAT,
    "metrics": {split: {"images": 0, "accuracy": None, "macro_f1": None} for split in SPLITS},
}
"""The record of a run that says nothing."""


def key(number: int) -> Key:
    """Return a key; every seventh one ends in zero bytes."""
    digest = hashlib.sha256(str(number).encode()).digest()
    return digest[:30] + b"\0\0" if number % 7 == 0 else digest


def row(number: int) -> NDArray[np.float32]:
    """Return the row that belongs to the key of a number."""
    return np.random.default_rng(number).standard_normal(WIDTH).astype(np.float32)


def rows(numbers: Iterable[int]) -> tuple[list[Key], NDArray[np.float32]]:
    """Return keys and rows of some numbers."""
    chosen = list(numbers)
    return [key(number) for number in chosen], np.array([row(number) for number in chosen]).reshape(-1, WIDTH)


def recipe(backbone: str = "xception") -> Recipe:
    """Return a recipe that differs by its backbone."""
    return Recipe(backbone, "w", (9, 9), "d", "c", "o", "r", "p", "last", "avg", "float32")


def feature_set(folder: Path) -> FeatureSet:
    """Return the feature set of `recipe()` in a store."""
    features = FeatureStore(folder).feature_set(recipe())
    features.begin({"batch_size": 32}, PROBE)
    return features


def visible(features: FeatureSet) -> dict[bytes, bytes]:
    """Return what features.h5 shows to any HDF5 reader."""
    with h5py.File(features.path) as file:
        keys = [each.tobytes() for each in file["keys"][:]]
        assert keys == sorted(set(keys))
        return dict(zip(keys, [each.tobytes() for each in file["features"][:]], strict=True))


def expected(numbers: set[int]) -> dict[bytes, bytes]:
    """Return key -> bytes of the row of some numbers."""
    return {key(number): row(number).tobytes() for number in numbers}


def add(features: FeatureSet, numbers: range | list[int]) -> None:
    """Add the rows of some numbers in one session."""
    with FeatureWriter(features) as writer:
        writer.add(*rows(numbers))
