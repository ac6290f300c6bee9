"""The stages in the order of the data: pictures, data set, extraction, training, report; and the command line.

This folder knows `cache` and `models` and puts them together; neither of them knows it. Names are
imported when they are first used, so that `demijohn --help` and a run that finds everything
cached load no library that they do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auditing import audit
    from .errors import (
        DatasetClash,
        InvalidRequest,
        NoImages,
        NotTrainable,
        PipelineError,
        TooManyUnreadable,
        UnreadableImage,
    )
    from .extraction import Extraction, extract_features
    from .findings import Audit
    from .job import Job, run
    from .reporting import Report, report_heads
    from .training import train_head

_HOMES = {
    "Audit": "findings",
    "DatasetClash": "errors",
    "Extraction": "extraction",
    "InvalidRequest": "errors",
    "Job": "job",
    "NoImages": "errors",
    "NotTrainable": "errors",
    "PipelineError": "errors",
    "Report": "reporting",
    "TooManyUnreadable": "errors",
    "UnreadableImage": "errors",
    "audit": "auditing",
    "extract_features": "extraction",
    "report_heads": "reporting",
    "run": "job",
    "train_head": "training",
}

__all__ = [
    "Audit",
    "DatasetClash",
    "Extraction",
    "InvalidRequest",
    "Job",
    "NoImages",
    "NotTrainable",
    "PipelineError",
    "Report",
    "TooManyUnreadable",
    "UnreadableImage",
    "audit",
    "extract_features",
    "report_heads",
    "run",
    "train_head",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
