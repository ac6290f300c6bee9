"""What a run costs: seconds to make it, milliseconds per picture to use it, megabytes to keep it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...cache.features import FeatureSet, Speed
from ...models.backbones.backbones import BACKBONES

NOTE = (
    "throughput, as measured: of the extraction with all its threads, decoding included, and of the head on one batch; "
    "a single picture alone takes longer"
)
SHARED = "the extraction served other backbones or views in the same pass, so it is at most this"
UNKNOWN = "the speed of the extraction was not kept: it is, when features are extracted by this version"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs; None where it is not known."""

    seconds_to_extract: float | None
    """All pictures of the data set once, at the speed of the extraction."""
    seconds_to_train: float
    milliseconds_extraction: float | None
    """Per picture at prediction."""
    milliseconds_head: float | None
    at_most: bool
    """The extraction served other backbones or views in the same pass."""
    head_bytes: int
    backbone_bytes: int | None

    @property
    def milliseconds(self) -> float | None:
        """Per picture at prediction; a head that was not timed counts as nothing beside the backbone."""
        if self.milliseconds_extraction is None:
            return None
        return self.milliseconds_extraction + (self.milliseconds_head or 0.0)

    @property
    def bytes(self) -> int | None:
        """Of backbone and head."""
        return None if self.backbone_bytes is None else self.backbone_bytes + self.head_bytes

    @property
    def note(self) -> str:
        """How it was measured."""
        if self.milliseconds_extraction is None:
            return UNKNOWN
        return f"{NOTE}; {SHARED}" if self.at_most else NOTE

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "milliseconds": self.milliseconds, "bytes": self.bytes, "note": self.note}


def measure_cost(record: dict[str, Any], sets: Sequence[FeatureSet]) -> Cost:
    """Return the cost of a run.

    Parameters
    ----------
    record : dict
        The content of run.json.
    sets : sequence of FeatureSet
        Whose rows stand side by side before its head.
    """
    speeds = [each.speed for each in sets]
    known: list[Speed] = [each for each in speeds if each is not None]
    images = sum(metrics["images"] for metrics in record["metrics"].values())
    seconds = sum(1 / each.images_per_second for each in known) if len(known) == len(speeds) else None
    # With test-time augmentation, every view goes through the backbone.
    passes = record["views"] if record["tta"] else 1
    names = {each.recipe.backbone for each in sets}
    megabytes = [BACKBONES[name].megabytes for name in names if name in BACKBONES]
    return Cost(
        seconds_to_extract=None if seconds is None else round(seconds * images, 3),
        seconds_to_train=record["seconds"],
        milliseconds_extraction=None if seconds is None else round(1000 * seconds * passes, 4),
        milliseconds_head=record.get("head_milliseconds"),
        at_most=any(each.shared for each in known),
        head_bytes=record["head_bytes"],
        backbone_bytes=round(1e6 * sum(megabytes)) if len(megabytes) == len(names) else None,
    )
