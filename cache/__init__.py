"""What is kept: features, data sets, runs, and the index of what was already read.

This folder knows HDF5, SQLite, CSV and files; it must not know Keras, scikit-learn or how a
picture is decoded. Its one promise: a file that carries its final name is complete, and a kill,
a full disk or a power cut loses at most the rows that were not committed yet.
"""

from .errors import (
    CacheError,
    DamagedFile,
    MissingFeatures,
    NewerFormat,
    NothingLeft,
    OlderFormat,
    StoreNotWritable,
    UnknownDataset,
    UnknownFeatures,
    UnknownRun,
    Unreachable,
)
from .export import Exported
from .features import FeatureSet
from .part import Key
from .recipe import Recipe
from .refusals import Refusal
from .runs import Predictions, Run
from .store import FeatureStore
from .table import SPLITS, Dataset, Origin, Row, Skipped

__all__ = [
    "SPLITS",
    "CacheError",
    "DamagedFile",
    "Dataset",
    "Exported",
    "FeatureSet",
    "FeatureStore",
    "Key",
    "MissingFeatures",
    "NewerFormat",
    "NothingLeft",
    "OlderFormat",
    "Origin",
    "Predictions",
    "Recipe",
    "Refusal",
    "Row",
    "Run",
    "Skipped",
    "StoreNotWritable",
    "UnknownDataset",
    "UnknownFeatures",
    "UnknownRun",
    "Unreachable",
]
