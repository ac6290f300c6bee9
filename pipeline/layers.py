"""Which layers of a backbone can be tapped."""

from collections.abc import Sequence

from ..models.resolving import resolve_backbone
from ..models.taps import Layer, list_layers
from ..models.weights import build_network


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
