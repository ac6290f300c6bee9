"""Files that are complete or absent, whatever happens while they are written.

The order is always the same: write under a `.partial` name in the same folder, fsync, rename,
fsync the folder. After a crash there may be a `.partial` left, never half a file under its name.
"""

import contextlib
import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DamagedFile, StoreNotWritable

PARTIAL = ".partial"


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write below `path` into `StoreNotWritable`."""
    try:
        yield
    except StoreNotWritable:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        mend = "free some space" if full else "make the folder writable"
        raise StoreNotWritable(
            f"cannot write {path}: {reason}; what was stored before is intact. "
            f"Either {mend} or choose another one with --store, then run the same command again"
        ) from error


def partial_name(path: Path) -> Path:
    """Return the name under which this process writes `path` before it is complete."""
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}{PARTIAL}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, durably and at once."""
    temporary = partial_name(path)
    with writing_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            fsync(temporary)
            os.replace(temporary, path)
            fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file, durably; readers see the old content or the new, never a mixture.

    A file that has this content already is not touched, so that a read-only store can be used as
    long as nothing changes.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, durably, in the order of the keys given; ASCII, so that any file name fits. NaN is refused."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file of the store holds.

    Raises
    ------
    DamagedFile
        The content is not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged: expected a JSON object, found {error}; remove it") from error
    if not isinstance(value, dict):
        raise DamagedFile(f"{path} is damaged: expected a JSON object, found {type(value).__name__}")
    return value


def fsync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    # Windows cannot open a folder; its renames are durable without.
    if os.name != "posix" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what dead processes of this machine left under `.partial` names; leave that of the living."""
    for path in folder.glob(f"*{PARTIAL}"):
        rest, _, pid = path.name.removesuffix(PARTIAL).rpartition(".")
        ours = rest.endswith(f".{socket.gethostname()}") and pid.isdecimal() and len(pid) < 10
        if ours and not _is_alive(int(pid)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                # A read-only store keeps them; they harm nobody.
                with contextlib.suppress(OSError):
                    path.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
