"""What is kept: features, data sets, runs, and the index of what was already read.

This folder knows HDF5, SQLite, CSV and files; it must not know Keras, scikit-learn or how a
picture is decoded. Its one promise: a file that carries its final name is complete, and a kill,
a full disk or a power cut loses at most the rows that were not committed yet.
"""

from .compiled import CompiledForms
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
from .export import Exported, export_features
from .features import Begun, FeatureSet, Speed
from .index import FileIndex
from .merging import merge_parts, prune_rows
from .part import Key
from .plan import Plan, plan_extraction
from .probe import Probe
from .recipe import Recipe, differences
from .refusals import Refusal
from .results import KeptResults, Result
from .runs import Run, predictions_content, run_id
from .store import FeatureStore
from .table import SPLITS, Dataset, Origin, Row, Skipped
from .verification import Damage, Verification, repair_features, verify_features
from .writer import FeatureWriter

__all__ = [
    "SPLITS",
    "Begun",
    "CacheError",
    "CompiledForms",
    "Damage",
    "DamagedFile",
    "Dataset",
    "Exported",
    "FeatureSet",
    "FeatureStore",
    "FeatureWriter",
    "FileIndex",
    "KeptResults",
    "Key",
    "MissingFeatures",
    "NewerFormat",
    "NothingLeft",
    "OlderFormat",
    "Origin",
    "Plan",
    "Probe",
    "Recipe",
    "Refusal",
    "Result",
    "Row",
    "Run",
    "Skipped",
    "Speed",
    "StoreNotWritable",
    "UnknownDataset",
    "UnknownFeatures",
    "UnknownRun",
    "Unreachable",
    "Verification",
    "differences",
    "export_features",
    "merge_parts",
    "plan_extraction",
    "predictions_content",
    "prune_rows",
    "repair_features",
    "run_id",
    "verify_features",
]
