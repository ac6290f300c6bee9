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
    StoreNotWritable,
    UnknownDataset,
    UnknownFeatures,
)
from .features import FeatureSet, FeatureWriter, Plan, plan_extraction
from .index import FileIndex
from .part import Key
from .recipe import Recipe
from .refusals import Refusal
from .runs import Run, run_id
from .store import FeatureStore
from .table import SPLITS, Dataset, Origin, Row, Skipped

__all__ = [
    "SPLITS",
    "CacheError",
    "DamagedFile",
    "Dataset",
    "FeatureSet",
    "FeatureStore",
    "FeatureWriter",
    "FileIndex",
    "Key",
    "MissingFeatures",
    "NewerFormat",
    "Origin",
    "Plan",
    "Recipe",
    "Refusal",
    "Row",
    "Run",
    "Skipped",
    "StoreNotWritable",
    "UnknownDataset",
    "UnknownFeatures",
    "plan_extraction",
    "run_id",
]
