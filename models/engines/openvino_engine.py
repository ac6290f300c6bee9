"""The engine for processors: OpenVINO runs what it made of the frozen graph, without TensorFlow.

Its batches are of one picture, as many at once as there are cores: on all but the smallest networks
that was as fast as batches of eight (docs/speed.md), it needs no padding, and no two threads ever wait
for each other.
"""

import errno
import functools
import os
import queue
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsuitableEngine, UnsuitableSetting
from .devices import CPU, Device
from .engine import Engine
from .freezing import FrozenGraph

_FILE = "model.xml"
_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITIES = {"bfloat16": "BF16", "float16": "FP16"}
TOLERANCE = 1e-4
"""By which a converted graph may differ from TensorFlow's own result, of its greatest value."""


class OpenVINOEngine(Engine):
    """Runs OpenVINO's form of a frozen graph on the CPU."""

    name = "openvino"

    @classmethod
    def check(cls, precision: str, device: Device) -> None:
        """Raise where it cannot compute so.

        Raises
        ------
        UnsuitableSetting
            On a GPU, or in a type that the processor does not have.
        """
        if device.is_gpu:
            raise UnsuitableSetting(
                f"the engine openvino computes on the CPU, not on {device.name}: choose --engine tensorflow, "
                "or --device cpu"
            )
        # It would compute in float32 without a word.
        if not cls.computes_in(precision):
            raise UnsuitableSetting(
                f"this processor does not compute in {precision} with openvino: leave out --precision, "
                "or choose --engine tensorflow, which is slow where the processor has no such type"
            )

    @staticmethod
    def computes_in(precision: str) -> bool:
        """Return whether this processor has the arithmetic of a precision, which OpenVINO tells."""
        return precision == "float32" or _CAPABILITIES[precision] in _capabilities()

    @staticmethod
    def compile(graph: FrozenGraph, folder: Path) -> None:
        """Write into a folder what an engine is opened from.

        Raises
        ------
        UnsuitableEngine
            OpenVINO cannot take the graph, or makes other numbers of it than the network itself.
        """
        size = graph.file.stat().st_size
        try:
            import openvino

            model = _core().read_model(graph.file)
            model.reshape([graph.facts.batch_size, *graph.facts.input_size, 3])
            # By the order of the taps: a frontend is free to give outputs in another one.
            results = [model.output(f"tap{place}:0") for place in range(len(graph.facts.taps))]
            ordered = openvino.Model([result.node for result in results], model.get_parameters(), graph.facts.backbone)
            openvino.save_model(ordered, folder / _FILE, compress_to_fp16=False)
            # Every weight lies in it.
            del model, results, ordered
            _compare(graph, folder)
        except (RuntimeError, ImportError) as error:
            # Of a full disk as well, which is the store's matter.
            if shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise UnsuitableEngine(f"OpenVINO cannot take {graph.facts.backbone}: {_first_line(error)}") from error
        finally:
            graph.file.unlink()

    def _open(self, folder: Path, device: Device) -> None:  # noqa: ARG002 - the CPU
        from joblib import cpu_count

        self.streams = cpu_count()
        try:
            compiled = _compile(folder / _FILE, self.facts.precision, self.streams)
        except (RuntimeError, ImportError) as error:
            raise UnsuitableEngine(f"OpenVINO cannot run {self.facts.backbone}: {_first_line(error)}") from error
        # Each with memory of its own; whoever calls takes one that is free.
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.streams):
            self._requests.put(compiled.create_infer_request())

    def _run(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        request = self._requests.get()
        try:
            results = request.infer([images], share_inputs=True)
            # Copies, since the request's memory is used again.
            return [np.array(results[place], dtype=np.float32) for place in range(len(self.facts.taps))]
        finally:
            self._requests.put(request)


def _capabilities() -> list[str]:
    """Return the types that OpenVINO computes in on this processor, as it calls them."""
    try:
        return list(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    except ImportError:
        return []


@functools.cache
def _core() -> Any:
    """Return the one core of this process, which is never let go.

    OpenVINO gives the thread that first uses a core a stack for signals, and frees that stack with the core and
    its last network. Where another thread does so, the next signal of the first (an interrupt) ends the process.
    """
    import openvino

    core = openvino.Core()
    # Most weights are kept in another order than in the file, whose pages would stay in memory beside them.
    core.set_property({"ENABLE_MMAP": False})
    return core


def _compile(file: Path, precision: str, streams: int) -> Any:
    settings = {
        # Without it, a processor that can computes in bfloat16.
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "EXECUTION_MODE_HINT": "ACCURACY" if precision == "float32" else "PERFORMANCE",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": streams,
        # Decoding shares the cores.
        "ENABLE_CPU_PINNING": False,
    }
    return _core().compile_model(_core().read_model(file), "CPU", settings)


def _compare(graph: FrozenGraph, folder: Path) -> None:
    """Raise where OpenVINO makes other numbers of a graph than the network itself."""
    facts = replace(graph.facts, precision="float32")
    images = np.random.default_rng(0).integers(0, 256, (facts.batch_size, *facts.input_size, 3), dtype=np.uint8)
    theirs = graph.network(images)
    ours = OpenVINOEngine(facts, folder, CPU)._run(images)
    for tap, values, expected in zip(facts.taps, ours, theirs, strict=True):
        apart = float(np.abs(values - expected).max(initial=0.0))
        greatest = float(np.abs(expected).max(initial=0.0))
        if not apart <= TOLERANCE * greatest:
            raise UnsuitableEngine(
                f"OpenVINO makes other features of {facts.backbone} ({tap}) than Keras: they differ by "
                f"{apart:.3g}, expected at most {TOLERANCE * greatest:.3g}"
            )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
