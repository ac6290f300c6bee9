"""A backbone as one frozen TensorFlow graph: uint8 pixels in, a vector per tap out.

The network is traced with its variables' values in place of the variables, so that batch
normalisation melts into the convolutions; nothing that training would change is left in it.
Preprocessing and pooling are part of it. Every engine begins from this graph.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backbones.backbone import Backbone
from ..backbones.taps import Tap, find_tensor, pool
from ..backend import import_keras, import_tensorflow

INPUT, OUTPUT = "images", "tap"
"""Names in the graph; outputs are numbered."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is to be known of a compiled backbone, whatever executes it."""

    backbone: str
    batch_size: int
    input_size: tuple[int, int]
    """Height and width, pixels."""
    taps: tuple[Tap, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of what each tap gives for one picture, before pooling: (h, w, c), (tokens, d) or (d,)."""
    precision: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "backbone": self.backbone,
            "batch_size": self.batch_size,
            "input_size": list(self.input_size),
            "taps": [[tap.layer, tap.pooling] for tap in self.taps],
            "shapes": [list(shape) for shape in self.shapes],
            "precision": self.precision,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Facts":
        """Return the facts that `to_json` wrote."""
        height, width = value["input_size"]
        return cls(
            backbone=value["backbone"],
            batch_size=value["batch_size"],
            input_size=(height, width),
            taps=tuple(Tap(*tap) for tap in value["taps"]),
            shapes=tuple(tuple(shape) for shape in value["shapes"]),
            precision=value["precision"],
        )


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """A graph without variables, and what is to be known of it."""

    file: Path
    """A serialised GraphDef."""
    facts: Facts
    network: Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]
    """The same by the network itself, an array of shape (b, d) per tap: what an engine's numbers are held against."""


def freeze(
    file: Path,
    backbone: Backbone,
    network: Any,
    *,
    batch_size: int,
    taps: Sequence[Tap] = (Tap(),),
    precision: str = "float32",
) -> FrozenGraph:
    """Return a network as a frozen graph, written into a file.

    Parameters
    ----------
    file : Path
    backbone : Backbone
    network : Keras model
        (b, h, w, 3) preprocessed pixels to the last map; it is not changed.
    batch_size : int
        The one static size of its batches.
    taps : sequence of Tap
    precision : str
        What it is to be computed in; only told here.

    Raises
    ------
    UnknownLayer
        A tap names a layer that the network has not.
    """
    tf, keras = import_tensorflow(), import_keras()
    tensors = [find_tensor(backbone, network, tap.layer) for tap in taps]
    preprocessing = backbone.preprocessing
    mean = tf.constant(preprocessing.mean, tf.float32)
    scale = tf.constant(preprocessing.scale, tf.float32)
    # By name, since Keras unpacks a list of one.
    tapped = keras.Model(network.inputs, {str(place): tensor for place, (tensor, _) in enumerate(tensors)})
    ends = [(tap.pooling, norm) for tap, (_, norm) in zip(taps, tensors, strict=True)]

    def forward(images: Any) -> list[Any]:
        x = tf.cast(images, tf.float32)  # (b, h, w, 3)
        if preprocessing.channels == "bgr":
            x = x[..., ::-1]
        values = tapped((x - mean) / scale, training=False)
        return [tf.identity(pool(values[str(place)], *end), name=f"{OUTPUT}{place}") for place, end in enumerate(ends)]

    shape = (batch_size, *network.input_shape[1:])
    graph = tf.__internal__.FuncGraph("frozen")
    with graph.as_default(), keras.StatelessScope(state_mapping=list(_values(network))):
        forward(tf.compat.v1.placeholder(tf.uint8, shape, INPUT))
    definition = graph.as_graph_def()
    if sum(node.op == "Placeholder" for node in definition.node) > 1 or definition.library.function:
        # Some layer keeps an array that is no variable, or calls a function of its own.
        definition = _fold(forward, shape)
    facts = Facts(
        backbone=backbone.name,
        batch_size=batch_size,
        input_size=(shape[1], shape[2]),
        taps=tuple(taps),
        shapes=tuple(tuple(tensor.shape[1:]) for tensor, _ in tensors),
        precision=precision,
    )
    # Graphs hold each other in circles, and every weight.
    del graph
    gc.collect()
    file.write_bytes(definition.SerializeToString(deterministic=True))
    # One by one, TensorFlow would keep a kernel with memory of its own for every layer.
    traced = tf.function(forward, autograph=False)
    return FrozenGraph(
        file=file,
        facts=facts,
        network=lambda images: [np.asarray(values, dtype=np.float32) for values in traced(images)],
    )


def _fold(forward: Callable[[Any], Any], shape: tuple[int, ...]) -> Any:
    """Return the GraphDef in another way, which takes whatever can be traced, and several times the memory."""
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.TensorSpec(shape, tf.uint8, name=INPUT)
    traced = tf.function(forward, autograph=False).get_concrete_function(signature)
    return convert_variables_to_constants_v2(traced).graph.as_graph_def()


def _values(network: Any) -> Iterator[tuple[Any, Any]]:
    """Give each variable with its value as a constant of the graph that is traced."""
    tf = import_tensorflow()
    for variable in network.variables:
        # One after the other, since an array is copied into the graph.
        with tf.init_scope():
            value = variable.numpy()
        yield variable, tf.constant(value)
