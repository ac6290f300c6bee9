"""Where a network is tapped, and how what flows there becomes a vector.

One pass through a network serves any number of taps.
"""

import re
from dataclasses import dataclass
from typing import Any

from ..errors import UnknownLayer, UnsuitableSetting
from .backbone import Backbone

LAST = "last"
"""The end of the convolutional part."""
POOLINGS = ("avg", "max", "avg+max", "none")
_CHANNELS_LAST = {2: "(b, d)", 3: "(b, tokens, d)", 4: "(b, h, w, d)"}


@dataclass(frozen=True, slots=True)
class Tap:
    """A layer and a pooling."""

    layer: str = LAST
    """`last`, or the name of a layer."""
    pooling: str = "avg"
    """`avg`, `max`, `avg+max`, side by side, or `none`: the whole map, flattened row by row."""

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UnsuitableSetting(f"there is no pooling {self.pooling!r}: expected one of {', '.join(POOLINGS)}")

    def __str__(self) -> str:
        """Return the tap as it is told to people.

        >>> str(Tap()), str(Tap("block3_out", "max"))
        ('last avg', 'block3_out max')
        """
        return f"{self.layer} {self.pooling}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a network that can be tapped."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Of its output, without the batch."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"name": self.name, "kind": self.kind, "shape": list(self.shape)}


def list_layers(network: Any) -> list[Layer]:
    """Return the layers that can be tapped, from the picture on."""
    names = stable_names(network)
    return [
        Layer(names[layer.name], type(layer).__name__, tuple(layer.output.shape[1:]))
        for layer in network.layers
        if _can_be_tapped(layer)
    ]


def find_tensor(backbone: Backbone, network: Any, layer: str) -> tuple[Any, Any]:
    """Return what a network computes at a layer, and the normalisation that is due after pooling, or None.

    Raises
    ------
    UnknownLayer
        The network has no such layer, or it gives neither a map nor tokens nor a vector.
    """
    if layer == LAST:
        end = network.layers[-1]
        if backbone.norm_after_pooling and len(network.outputs[0].shape) == 4:
            return end.input, end
        return network.outputs[0], None
    names = stable_names(network)
    for each in network.layers:
        if names[each.name] == layer and _can_be_tapped(each):
            return each.output, None
    raise UnknownLayer(
        f"{backbone.name} has no layer {layer!r} that can be tapped: see the same command with --layer list"
    )


def pool(values: Any, pooling: str, norm: Any = None) -> Any:
    """Return vectors (b, d) float32 of what a layer gives: (b, d), (b, tokens, d) or (b, h, w, d).

    Pooling is in float32 whatever the network computes in.
    """
    from ..backend import import_tensorflow

    tf = import_tensorflow()
    values = tf.cast(values, tf.float32)
    axes = list(range(1, len(values.shape) - 1))

    def finish(x: Any) -> Any:
        return x if norm is None else _normalise(x, norm)

    if pooling == "none":
        x = finish(values)
        return tf.reshape(x, (x.shape[0], -1))
    if not axes:
        return finish(values)
    parts = []
    if "avg" in pooling:
        parts.append(finish(tf.reduce_mean(values, axes)))
    if "max" in pooling:
        parts.append(finish(tf.reduce_max(values, axes)))
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)


def _normalise(x: Any, norm: Any) -> Any:
    """Return what a layer normalisation makes of x, in float32."""
    from ..backend import import_tensorflow

    tf = import_tensorflow()
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + norm.epsilon) * norm.gamma + norm.beta


def _can_be_tapped(layer: Any) -> bool:
    shape = getattr(layer.output, "shape", None)
    is_input = type(layer).__name__ == "InputLayer"
    return not is_input and shape is not None and len(shape) in _CHANNELS_LAST and None not in shape[1:]


def stable_names(network: Any) -> dict[str, str]:
    """Return, per layer, its name as a fresh process would have it.

    Keras numbers layers without a name of their own through the whole process, so that the second
    network's `conv2d` is another one than the first's.
    """
    automatic: dict[str, list[tuple[int, str]]] = {}
    for layer in network.layers:
        prefix, number = re.fullmatch(r"(.*?)(?:_(\d+))?", layer.name).groups()  # type: ignore[union-attr]
        # A model within the model leaves its name and a dot in front.
        if prefix.rpartition(".")[2].replace("_", "") == type(layer).__name__.lower():
            automatic.setdefault(prefix, []).append((int(number or 0), layer.name))
    names = {layer.name: layer.name for layer in network.layers}
    for prefix, numbered in automatic.items():
        for place, (_, name) in enumerate(sorted(numbered)):
            names[name] = prefix if place == 0 else f"{prefix}_{place}"
    return names
