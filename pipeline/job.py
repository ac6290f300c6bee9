"""The whole job: extract with every backbone, train every head on each, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.backbones import find_backbone
from ..models.heads import find_head
from .extraction import Extraction, extract_features
from .images import DEFAULT_POLICY, ReadingPolicy
from .labelling import Labelling
from .progress import SILENT, Progress
from .reporting import Report, report_heads
from .training import train_head

USUAL_HEADS = ("logistic", "svm", "dense")


@dataclass(frozen=True, slots=True)
class Job:
    """What the stages returned."""

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
    backbones: Sequence[str] = ("efficientnet-lite0",),
    heads: Sequence[str] = USUAL_HEADS,
    weights: str = "imagenet",
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    seed: int | None = None,
    labelling: Labelling | None = None,
    max_bad: float = 1.0,
    reading: ReadingPolicy = DEFAULT_POLICY,
    resize: str | None = None,
    retry: bool = False,
    progress: Progress = SILENT,
) -> Job:
    """Extract features, train heads on them and report; what was done before is not done again.

    See `extract_features`, `train_head` and `report_heads` for arguments and errors.
    """
    # Names are checked before hours are spent.
    for name in backbones:
        find_backbone(name)
    for name in heads:
        find_head(name)
    extractions = []
    for name in backbones:
        extraction = extract_features(
            images,
            backbone=name,
            weights=weights,
            store=store,
            dataset=dataset,
            seed=seed,
            labelling=labelling,
            max_bad=max_bad,
            reading=reading,
            resize=resize,
            retry=retry,
            progress=progress,
        )
        extractions.append(extraction)
        if extraction.too_many_skipped:
            return Job(tuple(extractions), None)
    for extraction in extractions:
        for head in heads:
            train_head(
                head,
                store=store,
                results=results,
                dataset=extraction.dataset,
                features=extraction.digest,
                seed=extraction.seed,
                progress=progress,
            )
    return Job(
        tuple(extractions),
        report_heads(store=store, results=results, dataset=extractions[0].dataset, progress=progress),
    )
