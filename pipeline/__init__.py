"""The stages in the order of the data: pictures, data set, extraction, training, report; and the command line.

This folder knows `cache` and `models` and puts them together; neither of them knows it. Names are
imported when they are first used, so that `demijohn --help` and a run that finds everything
cached load no library that they do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auditing.auditing import audit
    from .auditing.findings import Audit
    from .datasets.labelling import Labelling
    from .deployment.classifier import Classifier
    from .deployment.exporting import Export, export
    from .deployment.prediction import Prediction, PredictionStream, predict
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
        TooManyFeatures,
        TooManyUnreadable,
        UnreadableImage,
        WorkersLost,
    )
    from .extraction.extraction import Extraction, extract_feature_sets, extract_features
    from .extraction.outlook import Explanation, Outlook, explain_features, plan_features
    from .extraction.transformer import BottleneckFeatures
    from .finetuning.finetuning import fine_tune
    from .job import Job, run
    from .pictures.images import ReadingPolicy
    from .reporting.report import Report
    from .reporting.reporting import report_heads
    from .runs.tuning import Tuning
    from .training.training import train_head, train_heads
    from .upkeep.exchange import Exchange, pull_cache, push_cache
    from .upkeep.holdings import Holding, list_features
    from .upkeep.recomputation import Recomputation, recompute_rows
    from .upkeep.upkeep import (
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
    "Audit": "auditing.findings",
    "BottleneckFeatures": "extraction.transformer",
    "Change": "upkeep.upkeep",
    "Classifier": "deployment.classifier",
    "ClusterUnreachable": "errors",
    "DatasetClash": "errors",
    "Exchange": "upkeep.exchange",
    "Explanation": "extraction.outlook",
    "Export": "deployment.exporting",
    "Extraction": "extraction.extraction",
    "Holding": "upkeep.holdings",
    "InvalidRequest": "errors",
    "Job": "job",
    "Labelling": "datasets.labelling",
    "NoImages": "errors",
    "NotReached": "errors",
    "NotTrainable": "errors",
    "OtherNumbers": "errors",
    "OtherPredictions": "errors",
    "Outlook": "extraction.outlook",
    "PipelineError": "errors",
    "Prediction": "deployment.prediction",
    "PredictionStream": "deployment.prediction",
    "Pruned": "upkeep.upkeep",
    "ReadingPolicy": "pictures.images",
    "Recomputation": "upkeep.recomputation",
    "Report": "reporting.report",
    "TooManyFeatures": "errors",
    "TooManyUnreadable": "errors",
    "Tuning": "runs.tuning",
    "UnreadableImage": "errors",
    "Verified": "upkeep.upkeep",
    "WorkersLost": "errors",
    "audit": "auditing.auditing",
    "check_verified": "upkeep.upkeep",
    "compact_cache": "upkeep.upkeep",
    "explain_features": "extraction.outlook",
    "export": "deployment.exporting",
    "export_cache": "upkeep.upkeep",
    "extract_feature_sets": "extraction.extraction",
    "extract_features": "extraction.extraction",
    "fine_tune": "finetuning.finetuning",
    "list_features": "upkeep.holdings",
    "plan_features": "extraction.outlook",
    "predict": "deployment.prediction",
    "prune_cache": "upkeep.upkeep",
    "pull_cache": "upkeep.exchange",
    "push_cache": "upkeep.exchange",
    "recompute_rows": "upkeep.recomputation",
    "remove_features": "upkeep.upkeep",
    "report_heads": "reporting.reporting",
    "run": "job",
    "train_head": "training.training",
    "train_heads": "training.training",
    "verify_cache": "upkeep.upkeep",
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
    "TooManyFeatures",
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
