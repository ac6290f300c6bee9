"""From decoded pictures to stored rows: every engine gets its pixels in full batches, every feature set its rows.

A picture may be wanted by several engines, in several views, and one pass of an engine may serve
several feature sets. Who shares a batch does not matter: a row depends on its own pixels alone.

Each engine computes in threads of its own, as many batches at once as it likes, and another thread
stores rows, so that none of them waits for the disk or for the next picture. A thread gets a load of
batches at once, one where the network is slow or pictures come slowly: with the smallest networks,
handing over every picture by itself cost 6 to 9 % of the time. What is computed together is a batch,
whatever the load.
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
"""Loads per thread of an engine that are computed or wait for it; bounds the memory."""
_LOAD_SECONDS = 0.1
"""For which a load is to keep a thread busy."""
_LOAD_BATCHES = 16
"""Of a load at most."""
_WRITES = 16
"""Loads whose rows wait to be stored."""


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


@dataclass(slots=True, eq=False)
class _Load:
    """Pictures that a thread computes, batch by batch."""

    pictures: list[_Waiting]
    engine: Engine
    outputs: list[tuple[NDArray[np.float32], ...]] = field(default_factory=list)
    """Of the batches so far, also where the next one fails or never comes."""

    def compute(self) -> float:
        """Compute all; return the seconds that it took."""
        started = time.perf_counter()
        size = self.engine.batch_size
        for first in range(0, len(self.pictures), size):
            batch = self.pictures[first : first + size]
            self.outputs.append(self.engine.extract(np.stack([each.pixels for each in batch])))
        return time.perf_counter() - started


class _Queue:
    """An engine, what waits for it, and what it computes."""

    def __init__(self, engine: Engine, targets: Sequence[Target]) -> None:
        self.engine = engine
        self.targets = targets
        self.waiting: list[_Waiting] = []
        self.batches_per_load = 1
        self.flying: deque[tuple[_Load, Future[float]]] = deque()
        self.threads = ThreadPoolExecutor(engine.streams, thread_name_prefix="forward")

    @property
    def is_full(self) -> bool:
        """Whether enough loads are under way."""
        return len(self.flying) >= _AHEAD * self.engine.streams

    @property
    def is_due(self) -> bool:
        """Whether full batches are waiting, as many as a load has, or any where a thread has nothing to do."""
        batches, rest = divmod(len(self.waiting), self.engine.batch_size)
        is_idle = len(self.flying) < self.engine.streams
        return rest == 0 and batches >= (1 if is_idle else self.batches_per_load)

    def learn(self, load: _Load, seconds: float) -> None:
        """Make the next loads of as many batches as by this one keep a thread busy for long enough."""
        batches = _LOAD_SECONDS * len(load.outputs) / max(seconds, 1e-6)
        self.batches_per_load = int(np.clip(batches, 1, _LOAD_BATCHES))

    def launch(self) -> None:
        """Have what is waiting computed."""
        if self.waiting:
            load = _Load(self.waiting, self.engine)
            self.flying.append((load, self.threads.submit(load.compute)))
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
                if queue.is_due:
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
        """Wait for the load that was launched first, and have its rows stored."""
        load, future = queue.flying[0]
        started = time.perf_counter()
        seconds = future.result()
        self._breakdown.full += time.perf_counter() - started
        self._breakdown.forward += seconds
        queue.learn(load, seconds)
        # Taken away only now: an interrupt finds it there.
        queue.flying.popleft()
        self._store(queue, load)

    def _store(self, queue: _Queue, load: _Load) -> None:
        """Have the rows stored that were computed of a load."""
        self._settle_writes(_WRITES)
        outputs = [np.concatenate(parts) for parts in zip(*load.outputs, strict=True)]
        computed = load.pictures[: len(outputs[0])] if outputs else []
        for target in queue.targets:
            rows = [number for number, each in enumerate(computed) if target in each.targets]
            if rows:
                keys = [computed[number].key for number in rows]
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
            for load, _ in queue.flying:
                self._store(queue, load)


def _write(writer: FeatureWriter, keys: Sequence[Key], rows: NDArray[np.float32]) -> float:
    """Return the seconds that storing took."""
    started = time.perf_counter()
    writer.add(keys, rows)
    return time.perf_counter() - started
