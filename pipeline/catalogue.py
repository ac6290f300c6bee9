"""The catalogue of backbones: sorted, filtered, fetched ahead of time, and where each can be tapped."""

from collections.abc import Sequence
from typing import Any

from ..models.backbones.backbone import Backbone
from ..models.backbones.backbones import BACKBONES, find_backbone
from ..models.backbones.resolving import resolve_backbone
from ..models.backbones.taps import Layer, list_layers
from ..models.backbones.weights import build_network, fetch_weights
from ..models.engines.precisions import find_verdicts
from .progress import SILENT, Progress

_COLUMNS = {
    "top-1": ("top1", True),
    "top-5": ("top5", True),
    "mb": ("megabytes", False),
    "parameters": ("parameters_millions", False),
    "depth": ("depth", False),
    "width": ("width", False),
    "name": ("name", False),
}
"""By what may be sorted: the fact, and whether more is better."""


def list_backbones(*, sort: str | None = None, max_mb: float | None = None, here: bool = False) -> list[dict[str, Any]]:
    """Return the facts of the backbones, as `demijohn backbones --json` prints them.

    Parameters
    ----------
    sort : str, optional
        `top-1`, `top-5`, `mb`, `parameters`, `depth`, `width` or `name`: best or smallest first, unknown last.
    max_mb : float, optional
        Only those whose weights are no larger, in megabytes.
    here : bool
        Only those whose weights are on this machine.
    """
    chosen = [record.to_json() for record in BACKBONES.values()]
    if max_mb is not None:
        chosen = [facts for facts in chosen if facts["megabytes"] <= max_mb]
    if here:
        chosen = [facts for facts in chosen if facts["weights_here"]]
    if sort is not None:
        fact, more_is_better = _COLUMNS[sort]
        known = [facts for facts in chosen if facts[fact] is not None]
        known.sort(key=lambda facts: facts[fact], reverse=more_is_better)
        chosen = known + [facts for facts in chosen if facts[fact] is None]
    return chosen


def describe_backbone(name: str) -> dict[str, Any]:
    """Return the facts of one backbone, and what narrower types gain and lose with its published weights.

    Raises
    ------
    UnknownBackbone
        There is none of that name.
    """
    return _facts(resolve_backbone(name))


def fetch_backbone(name: str, *, progress: Progress = SILENT) -> dict[str, Any]:
    """Download the weights of a backbone unless they are here, and return its facts.

    Raises
    ------
    UnknownBackbone, MissingWeights, BadWeights
        There is none, or its weights cannot be had.
    """
    record = find_backbone(name)
    progress.say(f"the weights of {record.name} are in {fetch_weights(record)}")
    return _facts(record)


def _facts(record: Backbone) -> dict[str, Any]:
    return {**record.to_json(), "narrower_types": [str(verdict) for verdict in find_verdicts(record)]}


def list_taps(
    backbones: Sequence[str], *, input_size: tuple[int, int] | None = None, preprocessing: str | None = None
) -> dict[str, list[Layer]]:
    """Return, per backbone, its layers from the picture on; no weights are needed.

    Parameters
    ----------
    backbones, input_size, preprocessing
        See `extract_feature_sets`.
    """
    listed = {}
    for name in backbones:
        record = resolve_backbone(name, input_size=input_size, preprocessing=preprocessing)
        listed[record.name] = list_layers(build_network(record))
    return listed
