"""The stages in the order of the data: pictures, data set, extraction, training, report; and the command line.

This folder knows `cache` and `models` and puts them together; neither of them knows it. Names are
imported when they are first used, so that `demijohn --help` and a run that finds everything
cached load no library that they do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auditing import audit
    from .classifier import Classifier
    from .errors import (
        ClusterUnreachable,
        DatasetClash,
        InvalidRequest,
        NoImages,
        NotReached,
        NotTrainable,
        OtherNumbers,
        OtherPredictions,
        PipelineError,
        TooManyUnreadable,
        UnreadableImage,
        WorkersLost,
    )
    from .exchange import Exchange, pull_cache, push_cache
    from .exporting import Export, export
    from .extraction import Extraction, extract_feature_sets, extract_features
    from .findings import Audit
    from .finetuning import fine_tune
    from .holdings import Holding, list_features
    from .images import ReadingPolicy
    from .job import Job, run
    from .labelling import Labelling
    from .outlook import Explanation, Outlook, explain_features, plan_features
    from .prediction import Prediction, PredictionStream, predict
    from .recomputation import Recomputation, recompute_rows
    from .report import Report
    from .reporting import report_heads
    from .training import train_head, train_heads
    from .transformer import BottleneckFeatures
    from .tuning import Tuning
    from .upkeep import (
        Change,
        Pruned,
        Verified,
        check_verified,
        compact_cache,
        export_cache,
        prune_cache,
        remove_features,
        verify_cache,
    )

_HOMES = {
    "Audit": "findings",
    "BottleneckFeatures": "transformer",
    "Change": "upkeep",
    "Classifier": "classifier",
    "ClusterUnreachable": "errors",
    "DatasetClash": "errors",
    "Exchange": "exchange",
    "Explanation": "outlook",
    "Export": "exporting",
    "Extraction": "extraction",
    "Holding": "holdings",
    "InvalidRequest": "errors",
    "Job": "job",
    "Labelling": "labelling",
    "NoImages": "errors",
    "NotReached": "errors",
    "NotTrainable": "errors",
    "OtherNumbers": "errors",
    "OtherPredictions": "errors",
    "Outlook": "outlook",
    "PipelineError": "errors",
    "Prediction": "prediction",
    "PredictionStream": "prediction",
    "Pruned": "upkeep",
    "ReadingPolicy": "images",
    "Recomputation": "recomputation",
    "Report": "report",
    "TooManyUnreadable": "errors",
    "Tuning": "tuning",
    "UnreadableImage": "errors",
    "Verified": "upkeep",
    "WorkersLost": "errors",
    "audit": "auditing",
    "check_verified": "upkeep",
    "compact_cache": "upkeep",
    "explain_features": "outlook",
    "export": "exporting",
    "export_cache": "upkeep",
    "extract_feature_sets": "extraction",
    "extract_features": "extraction",
    "fine_tune": "finetuning",
    "list_features": "holdings",
    "plan_features": "outlook",
    "predict": "prediction",
    "prune_cache": "upkeep",
    "pull_cache": "exchange",
    "push_cache": "exchange",
    "recompute_rows": "recomputation",
    "remove_features": "upkeep",
    "report_heads": "reporting",
    "run": "job",
    "train_head": "training",
    "train_heads": "training",
    "verify_cache": "upkeep",
}

__all__ = [
    "Audit",
    "BottleneckFeatures",
    "Change",
    "Classifier",
    "ClusterUnreachable",
    "DatasetClash",
    "Exchange",
    "Explanation",
    "Export",
    "Extraction",
    "Holding",
    "InvalidRequest",
    "Job",
    "Labelling",
    "NoImages",
    "NotReached",
    "NotTrainable",
    "OtherNumbers",
    "OtherPredictions",
    "Outlook",
    "PipelineError",
    "Prediction",
    "PredictionStream",
    "Pruned",
    "ReadingPolicy",
    "Recomputation",
    "Report",
    "TooManyUnreadable",
    "Tuning",
    "UnreadableImage",
    "Verified",
    "WorkersLost",
    "audit",
    "check_verified",
    "compact_cache",
    "explain_features",
    "export",
    "export_cache",
    "extract_feature_sets",
    "extract_features",
    "fine_tune",
    "list_features",
    "plan_features",
    "predict",
    "prune_cache",
    "pull_cache",
    "push_cache",
    "recompute_rows",
    "remove_features",
    "report_heads",
    "run",
    "train_head",
    "train_heads",
    "verify_cache",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
