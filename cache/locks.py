"""Locks between processes that work on one feature set; nobody's rows ever wait for one.

Rows are committed without any lock. Merging is done by one process at a time, and whoever finds
it busy leaves it to the other. `features.h5` is written under a lock of its own, for milliseconds,
so that the last one written shows the last part committed.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .files import writing_errors

VIEW_SECONDS = 30.0
"""How long features.h5 waits for another writer of it; then it is written all the same."""


_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What a file system answers that has no locks."""


@contextmanager
def locked(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Give whether the lock was had within some seconds; it ends with the block, or with the process.

    On a file system without locks it counts as had: two merges at once do their work twice, and
    no row is lost.

    Raises
    ------
    StoreNotWritable
        The lock's file cannot be written.
    """
    lock = FileLock(path)
    try:
        had = _acquire(lock, seconds)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            with writing_errors(path):
                raise
        had = True
    except NotImplementedError:
        # What older versions of filelock, which setup.cfg admits, make of ENOSYS.
        had = True
    try:
        yield had
    finally:
        lock.release()


def _acquire(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True
