"""Which layers of a backbone can be tapped."""

from collections.abc import Sequence
from dataclasses import replace

from ..models.backbones import find_backbone
from ..models.taps import Layer, list_layers
from ..models.weights import build_network


def list_taps(backbones: Sequence[str], *, input_size: tuple[int, int] | None = None) -> dict[str, list[Layer]]:
    """Return, per backbone, its layers from the picture on; no weights are needed.

    Parameters
    ----------
    backbones : sequence of str
        Names of `BACKBONES`.
    input_size : (int, int), optional
        Height and width, instead of the backbone's own.
    """
    listed = {}
    for name in backbones:
        record = find_backbone(name)
        if input_size is not None:
            record = replace(record, input_size=input_size)
        listed[record.name] = list_layers(build_network(record))
    return listed
