"""From decoded pictures to stored rows: every engine gets its pixels in full batches, every feature set its rows.

A picture may be wanted by several engines, in several views, and one pass of an engine may serve
several feature sets. Who shares a batch does not matter: a row depends on its own pixels alone.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..cache.features import FeatureSet
from ..cache.part import Key
from ..cache.writer import FeatureWriter
from ..models.engines import TensorFlowEngine
from .feed import Decoded, Frame


@dataclass(slots=True, eq=False)
class Target:
    """A feature set that is being filled."""

    features: FeatureSet
    frame: Frame
    output: int
    """Which of the engine's outputs are its rows."""
    missing: frozenset[Key]
    """What it lacks, by the keys that were expected."""
    added: set[Key] = field(default_factory=set)
    """Keys of the rows that were added."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    key: Key
    pixels: NDArray[np.uint8]
    targets: tuple[Target, ...]


class Lanes:
    """Engines and the feature sets that they fill; a context that commits whatever was added, and merges at the end.

    Parameters
    ----------
    targets : iterable of (TensorFlowEngine, Target)
    """

    def __init__(self, targets: Iterable[tuple[TensorFlowEngine, Target]]) -> None:
        self._targets: dict[TensorFlowEngine, list[Target]] = {}
        for engine, target in targets:
            self._targets.setdefault(engine, []).append(target)
        self._waiting: dict[TensorFlowEngine, list[_Waiting]] = {engine: [] for engine in self._targets}
        self._writers: dict[Target, FeatureWriter] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "Lanes":
        self._stack.__enter__()
        every = [target for targets in self._targets.values() for target in targets]
        self._writers = {target: self._stack.enter_context(FeatureWriter(target.features)) for target in every}
        return self

    def __exit__(self, *error: object) -> bool | None:
        return self._stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, picture: Decoded) -> None:
        """Take a decoded picture to every engine that wants it."""
        if picture.key is None or picture.pixels is None:
            return
        for engine, targets in self._targets.items():
            for frame, pixels in picture.pixels.items():
                lacking = tuple(each for each in targets if each.frame == frame and picture.expected in each.missing)
                if lacking:
                    self._waiting[engine].append(_Waiting(picture.key, pixels, lacking))
                if len(self._waiting[engine]) == engine.batch_size:
                    self._run(engine)

    def finish(self) -> None:
        """Run what is waiting for a full batch."""
        for engine in self._targets:
            self._run(engine)

    def _run(self, engine: TensorFlowEngine) -> None:
        batch = self._waiting[engine]
        if not batch:
            return
        outputs = engine.extract(np.stack([each.pixels for each in batch]))
        self._waiting[engine] = []
        for target in self._targets[engine]:
            rows = [number for number, each in enumerate(batch) if target in each.targets]
            if rows:
                keys = [batch[number].key for number in rows]
                self._writers[target].add(keys, outputs[target.output][rows])
                target.added.update(keys)
