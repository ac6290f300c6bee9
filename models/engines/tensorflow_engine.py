"""The engine that is always there: TensorFlow runs the frozen graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import import_tensorflow
from .devices import CPU, Device
from .engine import Engine
from .freezing import INPUT, OUTPUT, FrozenGraph
from .heap import giving_back

_FILE = "graph.pb"


class TensorFlowEngine(Engine):
    """Runs a frozen graph on the CPU or a GPU."""

    name = "tensorflow"

    @classmethod
    def check(cls, precision: str, device: Device) -> None:
        """Raise where it cannot compute so: it always can, if slowly."""

    @staticmethod
    def computes_in(precision: str) -> bool:
        """Return whether it is float32: TensorFlow takes any type, and does not tell what the processor has."""
        return precision == "float32"

    @staticmethod
    def compile(graph: FrozenGraph, folder: Path) -> None:
        """Write into a folder what an engine is opened from."""
        graph.file.replace(folder / _FILE)

    def _open(self, folder: Path, device: Device) -> None:
        # A second batch is brought to the GPU while the first is computed; a CPU is busy with one.
        self.streams = 2 if device.is_gpu else 1
        self._begun = False
        self._forward = load_graph((folder / _FILE).read_bytes(), self._shape, len(self.facts.taps), device)

    def _run(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        if self._begun:
            return self._forward(images)
        # The first batch has the graph rewritten, in copies.
        with giving_back():
            rows = self._forward(images)
        self._begun = True
        return rows


def load_graph(
    definition: bytes, shape: tuple[int, ...], taps: int, device: Device = CPU
) -> Callable[[Any], list[NDArray[np.float32]]]:
    """Return the function of a frozen graph: a full uint8 batch of `shape` to an array of its own per tap."""
    tf = import_tensorflow()
    # Taken out when it is imported: what is captured would lie in memory for good.
    graph = [tf.compat.v1.GraphDef.FromString(definition)]
    results = [f"{OUTPUT}{place}:0" for place in range(taps)]
    forward = tf.compat.v1.wrap_function(
        lambda images: tf.import_graph_def(graph.pop(), {f"{INPUT}:0": images}, results, name=""),
        [tf.TensorSpec(shape, tf.uint8)],
    )

    def run(images: Any) -> list[NDArray[np.float32]]:
        with tf.device(device.address):
            results = forward(tf.constant(images))
        # Copies, since TensorFlow may use its memory again.
        return [np.array(result) for result in results]

    return run
