"""From pictures to rows by several threads: each row under its own key, whatever computes or fails when."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureSet, StoreNotWritable
from demijohn.cache.index import hash_bytes
from demijohn.pipeline.extraction.batching import Batcher, Target
from demijohn.pipeline.extraction.breakdown import Breakdown
from demijohn.pipeline.pictures.feed import Decoded, Frame
from numpy.typing import NDArray
from support.pools import wait_for
from support.rows import recipe

FRAME = Frame((2, 2), "squash-bilinear")


class Engine:
    """Gives the first pixel of each picture; in threads that finish in another order than they began."""

    def __init__(self, batch_size: int = 3, streams: int = 4) -> None:
        self.batch_size, self.streams = batch_size, streams
        self.calls = 0
        self.computed: set[bytes] = set()
        self.busy = self.most = 0
        self._lock = threading.Lock()

    def extract(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        with self._lock:
            self.calls += 1
            number = self.calls
            self.busy += 1
            self.most = max(self.most, self.busy)
        time.sleep(0.002 * (number % 3))
        with self._lock:
            self.busy -= 1
            self.computed.update(key_of(number) for number in images[:, 0, 0, 0].tolist())
        return (images[:, 0, 0, :1].astype(np.float32),)


def key_of(number: int) -> bytes:
    return hash_bytes(str(number).encode())


def decoded(number: int) -> Decoded:
    key = key_of(number)
    return Decoded(str(number), key, key, {FRAME: np.full((2, 2, 3), number, np.uint8)}, "")


def target(folder: Path, count: int = 250) -> Target:
    return Target(FeatureSet(folder, recipe()), FRAME, 0, frozenset(map(key_of, range(count))))


def rows_of(features: FeatureSet) -> dict[bytes, float]:
    keys = sorted(features.keys())
    return dict(zip(keys, features.read(keys)[:, 0].tolist(), strict=True)) if keys else {}


def fill(engine: Engine, filled: Target, count: int = 250, error: BaseException | None = None) -> Breakdown:
    """Take pictures through batcher; at their end, raise or finish."""
    breakdown = Breakdown()
    with Batcher([(engine, filled)], breakdown) as batcher:  # type: ignore[list-item]
        for number in range(count):
            batcher.add(decoded(number))
        if error is not None:
            raise error
        batcher.finish()
    return breakdown


@pytest.mark.parametrize(("batch_size", "streams"), [(1, 4), (3, 4), (24, 1), (7, 2)])
def test_every_row_is_of_its_own_picture(tmp_path: Path, batch_size: int, streams: int) -> None:
    engine, filled = Engine(batch_size, streams), target(tmp_path)
    breakdown = fill(engine, filled)
    assert rows_of(filled.features) == {key_of(number): number for number in range(250)}
    assert filled.added == filled.missing
    assert engine.calls == -(-250 // batch_size)
    assert 1 <= engine.most <= streams
    assert breakdown.forward > 0
    assert breakdown.write > 0


def test_a_fast_engine_gets_many_batches_at_once_and_a_slow_one_gets_one(tmp_path: Path) -> None:
    def loads(engine: Engine, seconds: float, count: int) -> set[int]:
        """Return how many pictures a thread got at once."""

        def extract(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            time.sleep(seconds)
            return (images[:, 0, 0, :1].astype(np.float32),)

        engine.extract = extract  # type: ignore[method-assign]
        filled = target(tmp_path / str(seconds), count)
        batcher = Batcher([(engine, filled)], Breakdown())  # type: ignore[list-item]
        queue = batcher._queues[0]
        found = set()
        launch = queue.launch

        def noted() -> None:
            found.add(len(queue.waiting))
            launch()

        queue.launch = noted  # type: ignore[method-assign]
        with batcher:
            for number in range(count):
                batcher.add(decoded(number))
            batcher.finish()
        assert rows_of(filled.features) == {key_of(number): number for number in range(count)}
        return found

    assert max(loads(Engine(2, 2), 0.005, 60)) > 2
    assert loads(Engine(2, 2), 0.11, 13) == {1, 2}


def test_where_pictures_come_slowly_none_waits_for_a_whole_load(tmp_path: Path) -> None:
    engine = Engine(1, 2)
    batcher = Batcher([(engine, target(tmp_path))], Breakdown())  # type: ignore[list-item]
    with batcher:
        for number in range(100):
            batcher.add(decoded(number))
        assert batcher._queues[0].batches_per_load > 1
        wait_for(lambda: all(future.done() for _, future in batcher._queues[0].flying))
        batcher.add(decoded(100))
        wait_for(lambda: key_of(100) in engine.computed)
        batcher.finish()


def test_few_batches_are_under_way_however_many_pictures_come(tmp_path: Path) -> None:
    engine = Engine(1, 2)
    gate = threading.Event()
    extract = engine.extract

    def held(images: Any) -> Any:
        gate.wait(10)
        return extract(images)

    engine.extract = held  # type: ignore[method-assign]
    batcher = Batcher([(engine, target(tmp_path))], Breakdown())  # type: ignore[list-item]
    taken = 0

    def feed() -> None:
        nonlocal taken
        for number in range(50):
            batcher.add(decoded(number))
            taken += 1
        batcher.finish()

    with batcher:
        feeder = threading.Thread(target=feed)
        feeder.start()
        time.sleep(0.3)
        waiting = taken
        gate.set()
        feeder.join()
    assert waiting <= 5
    assert taken == 50


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_computed_before_an_end_is_stored(tmp_path: Path, error: type[BaseException]) -> None:
    engine, filled = Engine(2, 2), target(tmp_path)
    with pytest.raises(error):
        fill(engine, filled, error=error())
    rows = rows_of(filled.features)
    assert rows == {key_of(number): number for number in range(250) if key_of(number) in engine.computed}
    assert set(rows) == filled.added
    assert len(rows) >= 100


def test_an_engine_that_fails_ends_it_with_what_came_before(tmp_path: Path) -> None:
    engine, filled = Engine(1, 2), target(tmp_path)
    extract = engine.extract

    def failing(images: Any) -> Any:
        if images[0, 0, 0, 0] == 60:
            raise RuntimeError("not finite")
        return extract(images)

    engine.extract = failing  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="not finite"):
        fill(engine, filled)
    rows = rows_of(filled.features)
    assert set(map(key_of, range(60))) <= set(rows)
    assert key_of(60) not in rows


def test_rows_that_cannot_be_stored_end_it_with_that_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, filled = Engine(1, 2), target(tmp_path)

    def full(*_: object) -> str:
        raise StoreNotWritable("no space left")

    monkeypatch.setattr("demijohn.cache.writer.COMMIT_ROWS", 20)
    monkeypatch.setattr(FeatureSet, "commit", full)
    with pytest.raises(StoreNotWritable, match="no space left"):
        fill(engine, filled)
    assert threading.active_count() < 20
    assert rows_of(filled.features) == {}


def test_a_second_interrupt_while_the_first_is_waited_for_loses_nothing(tmp_path: Path) -> None:
    engine, filled = Engine(1, 2), target(tmp_path)
    batcher = Batcher([(engine, filled)], Breakdown())  # type: ignore[list-item]
    threads = batcher._queues[0].threads
    shutdown = threads.shutdown
    computed: set[bytes] = set()

    def interrupted(**_: object) -> None:
        computed.update(engine.computed)
        time.sleep(0.02)
        raise KeyboardInterrupt

    def work() -> None:
        with batcher:
            for number in range(200):
                batcher.add(decoded(number))
            threads.shutdown = interrupted  # type: ignore[method-assign, assignment]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    shutdown()
    assert len(computed) >= 100
    assert computed <= set(rows_of(filled.features))
    assert set(rows_of(filled.features)) == filled.added
