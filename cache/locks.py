"""Locks between processes that work on one feature set; nobody's rows ever wait for one.

Rows are committed without any lock. Merging is done by one process at a time, and whoever finds
it busy leaves it to the other. `features.h5` is written under a lock of its own, for milliseconds,
so that the last one written shows the last part committed.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

VIEW_SECONDS = 30.0
"""How long features.h5 waits for another writer of it; then it is written all the same."""


@contextmanager
def locked(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Give whether the lock was had within some seconds; it ends with the block, or with the process.

    On a file system without locks it counts as had: two merges at once do their work twice, and
    both are right.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            lock.release()
