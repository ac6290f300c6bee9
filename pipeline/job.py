"""The whole job: extract with every backbone, train every head on each, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from ..cache.store import FeatureStore
from ..models.heads.heads import find_head
from .extraction.extraction import Extraction, extract_feature_sets
from .extraction.request import Request, complete
from .reporting.report import Report
from .reporting.reporting import report_heads
from .training.training import train_head

USUAL_HEADS = ("logistic", "svm", "dense")


@dataclass(frozen=True, slots=True)
class Job:
    """What the stages of `run` returned."""

    extractions: tuple[Extraction, ...]
    report: Report | None
    """None where more pictures were skipped than is allowed: nothing was trained then."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `run --json`."""
        return {
            "feature_sets": [extraction.to_json() for extraction in self.extractions],
            "report": self.report.to_json() if self.report else None,
        }


def run(
    images: str | Path | None = None,
    *,
    heads: Sequence[str] = USUAL_HEADS,
    results: str | Path | None = None,
    max_bad: float = 1.0,
    **request: Unpack[Request],
) -> Job:
    """Extract features, train heads on them and report; what was done before is not done again.

    Where there are several views, each head is trained without them as well, so that the report says
    what they gained. See `extract_feature_sets`, `train_head` and `report_heads` for arguments and errors.
    """
    # Names and folders are checked before hours are spent.
    for name in heads:
        find_head(name)
    asked = complete(request)
    FeatureStore(asked["store"], results).check_writable("runs")
    extractions = extract_feature_sets(images, max_bad=max_bad, trainable=True, **asked)
    if extractions[0].too_many_skipped:
        return Job(extractions, None)
    store, progress = asked["store"], asked["progress"]
    for extraction in extractions:
        for head in heads:
            for views in dict.fromkeys((1, extraction.views)):
                train_head(
                    head,
                    store=store,
                    results=results,
                    dataset=extraction.dataset,
                    features=extraction.digest,
                    views=views,
                    augment=asked["augment"] if views > 1 else None,
                    seed=extraction.seed,
                    progress=progress,
                )
    return Job(
        extractions, report_heads(store=store, results=results, dataset=extractions[0].dataset, progress=progress)
    )
