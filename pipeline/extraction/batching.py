"""From decoded pictures to stored rows: every engine gets its pixels in full batches, every feature set its rows.

A picture may be wanted by several engines, in several views, and one pass of an engine may serve
several feature sets. Who shares a batch does not matter: a row depends on its own pixels alone.

Each engine computes in threads of its own, as many batches at once as it likes, and another thread
stores rows, so that none of them waits for the disk or for the next picture.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ...cache.features import FeatureSet
from ...cache.part import Key
from ...cache.writer import FeatureWriter
from ...models.engines.engine import Engine
from ..pictures.feed import Decoded, Frame
from .breakdown import Breakdown

_AHEAD = 2
"""Batches per thread of an engine that are computed or wait for it; bounds the memory."""
_WRITES = 16
"""Batches whose rows wait to be stored."""


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
    writer: FeatureWriter | None = None
    """What stores the rows, where it is to outlast the pass."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    key: Key
    pixels: NDArray[np.uint8]
    targets: tuple[Target, ...]


_Outputs = tuple[NDArray[np.float32], ...]


class _Queue:
    """An engine, what waits for it, and what it computes."""

    def __init__(self, engine: Engine, targets: Sequence[Target]) -> None:
        self.engine = engine
        self.targets = targets
        self.waiting: list[_Waiting] = []
        self.flying: deque[tuple[list[_Waiting], Future[tuple[_Outputs, float]]]] = deque()
        self.threads = ThreadPoolExecutor(engine.streams, thread_name_prefix="forward")

    @property
    def is_full(self) -> bool:
        """Whether enough batches are under way."""
        return len(self.flying) >= _AHEAD * self.engine.streams

    def launch(self) -> None:
        """Have what is waiting computed."""
        if self.waiting:
            self.flying.append((self.waiting, self.threads.submit(_compute, self.engine, self.waiting)))
            self.waiting = []


class Batcher:
    """Engines and the feature sets that they fill; a context that commits whatever was added, and merges at the end.

    Parameters
    ----------
    targets : iterable of (Engine, Target)
    breakdown : Breakdown
        Where seconds are counted.
    alone : bool
        Whether nobody else fills these sets; see `FeatureWriter`.
    """

    def __init__(self, targets: Iterable[tuple[Engine, Target]], breakdown: Breakdown, *, alone: bool = True) -> None:
        every: dict[Engine, list[Target]] = {}
        for engine, target in targets:
            every.setdefault(engine, []).append(target)
        self._queues = [_Queue(engine, targets) for engine, targets in every.items()]
        self._breakdown = breakdown
        self._alone = alone
        self._writers: dict[Target, FeatureWriter] = {}
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._written: deque[Future[float]] = deque()
        self._stack = ExitStack()

    def __enter__(self) -> "Batcher":
        self._stack.__enter__()
        for queue in self._queues:
            for target in queue.targets:
                self._writers[target] = target.writer or self._stack.enter_context(
                    FeatureWriter(target.features, alone=self._alone)
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            # A second interrupt may come while a batch is waited for; what is computed is stored all the same.
            try:
                for queue in self._queues:
                    queue.threads.shutdown(wait=True, cancel_futures=True)
            finally:
                if error is not None:
                    self._save_what_is_computed()
                self._writing.shutdown(wait=True)
                self._settle_writes(0)
        except BaseException as other:
            # That rows cannot be stored counts for more than why the pass ended.
            self._stack.__exit__(type(other), other, other.__traceback__)
            raise
        return self._stack.__exit__(kind, error, trace)

    def add(self, picture: Decoded) -> None:
        """Take a decoded picture to every engine that wants it."""
        if picture.key is None or picture.pixels is None:
            return
        for queue in self._queues:
            # Also where pictures come slowly, rows are stored soon.
            while queue.flying and queue.flying[0][1].done():
                self._land(queue)
            for frame, pixels in picture.pixels.items():
                lacking = tuple(
                    each for each in queue.targets if each.frame == frame and picture.expected in each.missing
                )
                if lacking:
                    queue.waiting.append(_Waiting(picture.key, pixels, lacking))
                if len(queue.waiting) == queue.engine.batch_size:
                    while queue.is_full:
                        self._land(queue)
                    queue.launch()

    def finish(self) -> None:
        """Run what is waiting for a full batch, and see everything stored."""
        for queue in self._queues:
            queue.launch()
        for queue in self._queues:
            while queue.flying:
                self._land(queue)
        self._settle_writes(0)

    def _land(self, queue: _Queue) -> None:
        """Wait for the batch that was launched first, and have its rows stored."""
        batch, future = queue.flying[0]
        started = time.perf_counter()
        outputs, seconds = future.result()
        self._breakdown.full += time.perf_counter() - started
        self._breakdown.forward += seconds
        # Taken away only now: an interrupt finds it there.
        queue.flying.popleft()
        self._store(queue, batch, outputs)

    def _store(self, queue: _Queue, batch: Sequence[_Waiting], outputs: _Outputs) -> None:
        self._settle_writes(_WRITES)
        for target in queue.targets:
            rows = [number for number, each in enumerate(batch) if target in each.targets]
            if rows:
                keys = [batch[number].key for number in rows]
                self._written.append(
                    self._writing.submit(_write, self._writers[target], keys, outputs[target.output][rows])
                )
                target.added.update(keys)

    def _settle_writes(self, waiting: int) -> None:
        """Wait until no more than so many writes are waiting; raise what went wrong with one."""
        while self._written and (len(self._written) > waiting or self._written[0].done()):
            self._breakdown.write += self._written.popleft().result()

    def _save_what_is_computed(self) -> None:
        for queue in self._queues:
            for batch, future in queue.flying:
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._store(queue, batch, future.result()[0])


def _compute(engine: Engine, batch: Sequence[_Waiting]) -> tuple[_Outputs, float]:
    """Return the outputs of an engine, and the seconds that it took."""
    started = time.perf_counter()
    outputs = engine.extract(np.stack([each.pixels for each in batch]))
    return outputs, time.perf_counter() - started


def _write(writer: FeatureWriter, keys: Sequence[Key], rows: NDArray[np.float32]) -> float:
    """Return the seconds that storing took."""
    started = time.perf_counter()
    writer.add(keys, rows)
    return time.perf_counter() - started
