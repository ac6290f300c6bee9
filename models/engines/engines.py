"""What executes a frozen backbone: which engines there are, which one is taken, and how one is made and opened.

A compiled backbone is a folder of a few files, from which its engine opens in a moment. On a GPU
TensorFlow computes; on a processor whichever is faster for the backbone, by a table that
benchmarks/engines.py has measured. Nothing is ever timed while features are extracted, so that the
same machine chooses the same every time.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..backbones.backbone import Backbone
from ..backbones.taps import Tap
from ..errors import UnsuitableSetting
from .devices import CPU, Device, find_device
from .engine import Engine
from .freezing import Facts, freeze
from .heap import giving_back
from .openvino_engine import OpenVINOEngine
from .tensorflow_engine import TensorFlowEngine

_FACTS = "facts.json"
FORM = 2
"""Of compiled backbones: raised where the same versions of everything would compile to something else."""


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine, with what is to be known before it is imported."""

    name: str
    kind: type[Engine]
    """A subclass of `Engine` with `compile(graph, folder)`."""
    batch_size: int
    package: str
    """What is imported for it, and whose version counts."""
    extra: str | None = None
    """What to install for it; None where demijohn itself is enough."""
    casts: bool = False
    """A narrower precision is a choice of compiling; else the network itself is built in it."""
    batches: Mapping[str, int] = field(default_factory=dict)
    """Of backbones by name that need another batch size."""

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return find_spec(self.package) is not None

    def batch_of(self, backbone: str) -> int:
        """Return how many pictures are computed together, where nothing else is asked for."""
        return self.batches.get(backbone, self.batch_size)


_CONVNEXT = tuple(f"convnext-{size}" for size in ("tiny", "small", "base", "large", "xlarge"))
ENGINES = {
    record.name: record
    for record in (
        # Matrix products are computed in blocks of 12, 24 or 48 rows, by the width of the processor's
        # registers. Where the rows of a batch are no multiple of that, the rest is summed in another
        # order, and the last picture's features differ in the last digit (seen with 32 on AVX-512). Larger
        # batches are no faster, but take their memory. ConvNeXt has products of 49 rows a picture, of which 12 are
        # no multiple of 24 (seen on AVX-512).
        EngineRecord("tensorflow", TensorFlowEngine, 12, "tensorflow", batches=dict.fromkeys(_CONVNEXT, 24)),
        EngineRecord("openvino", OpenVINOEngine, 1, "openvino", "demijohn[cpu]", casts=True),
    )
}


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What executes a backbone, and in which batches."""

    engine: str
    batch_size: int
    device: Device = CPU

    @property
    def record(self) -> EngineRecord:
        """All about the engine."""
        return ENGINES[self.engine]


def choose_engine(
    backbone: str,
    *,
    precision: str = "float32",
    engine: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
) -> EngineChoice:
    """Return what is to execute a backbone on this machine.

    Parameters
    ----------
    backbone : str
        Its name.
    precision : str
        What it is to compute in.
    engine, batch_size : optional
        Instead of the usual.
    device : str
        See `find_device`.

    Raises
    ------
    UnsuitableSetting
        There is no such engine, batch or device, it is not installed, or it cannot compute so here.
    """
    if batch_size is not None and batch_size < 1:
        raise UnsuitableSetting(f"a batch of {batch_size} pictures is not possible: expected 1 or more")
    if engine is not None and engine not in ENGINES:
        raise UnsuitableSetting(f"there is no engine {engine!r}: expected one of {', '.join(ENGINES)}")
    if engine is not None and not ENGINES[engine].installed:
        raise UnsuitableSetting(
            f"the engine {engine} is not installed: pip install '{ENGINES[engine].extra or engine}', "
            f"or leave out --engine {engine}"
        )
    found = find_device(device)
    if engine is None:
        engine = _usual_engine(backbone, precision, found)
    ENGINES[engine].kind.check(precision, found)
    return EngineChoice(engine, batch_size or ENGINES[engine].batch_of(backbone), found)


@giving_back()
def compile_backbone(
    folder: Path,
    backbone: Backbone,
    network: Any,
    choice: EngineChoice,
    *,
    taps: Sequence[Tap] = (Tap(),),
    precision: str = "float32",
) -> None:
    """Write into an empty folder what `open_engine` opens.

    Parameters
    ----------
    folder : Path
    backbone : Backbone
    network : Keras model
        See `load_extractor`; it is not changed.
    choice : EngineChoice
    taps : sequence of Tap
    precision : str
        What it is to compute in.

    Raises
    ------
    ModelError
        The engine cannot take the network.
    UnknownLayer
        A tap names a layer that the network has not.
    """
    graph = freeze(
        folder / "frozen.pb", backbone, network, batch_size=choice.batch_size, taps=taps, precision=precision
    )
    choice.record.kind.compile(graph, folder)
    (folder / _FACTS).write_text(json.dumps({"engine": choice.engine, **graph.facts.to_json()}, indent=2), "utf-8")


@giving_back()
def open_engine(folder: Path, device: Device = CPU) -> Engine:
    """Return the engine of a compiled backbone; nothing else than the engine's own library is imported."""
    content = json.loads((folder / _FACTS).read_text("utf-8"))
    engine: Engine = ENGINES[content["engine"]].kind(Facts.from_json(content), folder, device)
    return engine


def make_engine(
    backbone: Backbone,
    network: Any,
    *,
    engine: str = "tensorflow",
    batch_size: int | None = None,
    taps: Sequence[Tap] = (Tap(),),
    precision: str = "float32",
    device: Device = CPU,
) -> Engine:
    """Return an engine for a network, compiled in passing; see `compile_backbone`."""
    choice = EngineChoice(engine, batch_size or ENGINES[engine].batch_of(backbone.name), device)
    # On Windows an open file cannot be removed; the system does that later.
    with tempfile.TemporaryDirectory(prefix="demijohn-engine-", ignore_cleanup_errors=True) as folder:
        compile_backbone(Path(folder), backbone, network, choice, taps=taps, precision=precision)
        return open_engine(Path(folder), device)


def versions_of(engine: str) -> dict[str, str]:
    """Return the versions of all that compiling hangs on; nothing is imported for it."""
    names = dict.fromkeys(["demijohn", "tensorflow", "keras", ENGINES[engine].package])
    return {name: _version_of(name) for name in names}


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        # Built from source, for example.
        return "unknown"


def _usual_engine(backbone: str, precision: str, device: Device) -> str:
    """Return the faster one; what was not measured goes to the engine that is made for the device."""
    if device.is_gpu or not ENGINES["openvino"].installed:
        return "tensorflow"
    if precision != "float32":
        return "openvino" if OpenVINOEngine.computes_in(precision) else "tensorflow"
    rates = _measured().get(backbone, {})
    return max(rates, key=lambda engine: rates[engine]) if rates else "openvino"


@cache
def _measured() -> dict[str, dict[str, float]]:
    """Return pictures per second by backbone and engine, each in its own batches."""
    content = json.loads((files("demijohn.models.engines") / "engine_rates.json").read_text("utf-8"))
    rates: dict[str, dict[str, float]] = content["rates"]
    return rates
