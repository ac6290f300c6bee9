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
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DamagedFile, StoreNotWritable

PARTIAL = ".partial"
_ELSEWHERE = "choose another one with --store (--results for runs and the report)"
LEFTOVER_SECONDS = 24 * 3600


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
            f"Either {mend} or {_ELSEWHERE}, then run the same command again"
        ) from error


def check_writable(folder: Path) -> None:
    """Raise where a folder can neither be written nor made, before time is spent on what it is to keep.

    Raises
    ------
    StoreNotWritable
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise StoreNotWritable(f"cannot write {folder}: {there} is a file, expected a folder; {_ELSEWHERE}")
    with writing_errors(folder):
        # Tried, since permissions alone do not tell of a read-only disk, and root has all of them.
        Path(tempfile.mkdtemp(prefix="writable.", suffix=PARTIAL, dir=there)).rmdir()


def partial_name(path: Path) -> Path:
    """Return the name under which this process writes `path` before it is complete."""
    return path.with_name(f"{path.name}.{machine_name()}.{os.getpid()}{PARTIAL}")


@contextmanager
def replacing(path: Path, *, keep_existing: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, durably and at once.

    With `keep_existing`, a file that has come to be under that name meanwhile stays as it is.
    """
    temporary = partial_name(path)
    with writing_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            fsync(temporary)
            if keep_existing:
                _link(temporary, path)
            else:
                os.replace(temporary, path)
            fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; on success it becomes `folder`, durably, in place of an older one."""
    temporary = partial_name(folder)
    remove(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.iterdir():
            fsync(path)
        aside = partial_name(folder.with_name(f"{folder.name}.old"))
        if folder.exists():
            # Folders cannot be exchanged at once: a crash between the two renames loses the older one.
            folder.rename(aside)
        try:
            temporary.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
        fsync(folder.parent)
        remove(aside)
    finally:
        remove(temporary)


def write_bytes(path: Path, content: bytes | memoryview, *, keep_existing: bool = False) -> None:
    """Write a whole file, durably; readers see the old content or the new, never a mixture.

    A file that has this content already is not touched, so that a read-only store can be used as
    long as nothing changes.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    with replacing(path, keep_existing=keep_existing) as temporary:
        _write(temporary, content)


def write_json(path: Path, value: Any, *, keep_existing: bool = False) -> None:
    """Write a JSON file, durably, in the order of the keys given; ASCII, so that any file name fits. NaN is refused."""
    content = (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
    write_bytes(path, content, keep_existing=keep_existing)


def read_json(path: Path, mend: str = "remove it") -> dict[str, Any]:
    """Return the object that a JSON file of the store holds; `mend` ends the message where it is damaged.

    Raises
    ------
    DamagedFile
        The content is not a JSON object.
    """
    return parse_json(path.read_bytes(), str(path), mend)


def parse_json(content: bytes, path: str, mend: str = "remove it") -> dict[str, Any]:
    """Return the object that JSON text holds; `path` names it in errors, and `mend` ends them.

    Raises
    ------
    DamagedFile
        The content is not a JSON object.
    """
    try:
        value = json.loads(content)
    except ValueError as error:
        found = f"what is none ({error})" if content.strip(b"\0 \n") else "nothing"
        raise DamagedFile(f"{path} is damaged: expected a JSON object, found {found}; {mend}") from error
    if not isinstance(value, dict):
        raise DamagedFile(f"{path} is damaged: expected a JSON object, found {type(value).__name__}; {mend}")
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
    """Remove what was left under `.partial` names by dead processes of this machine, or for more than a day.

    What belongs to the living is left. Nothing is written for as long as a day.
    """
    for path in folder.glob(f"*{PARTIAL}"):
        rest, _, pid = path.name.removesuffix(PARTIAL).rpartition(".")
        ours = rest.endswith(f".{machine_name()}") and pid.isdecimal() and len(pid) < 10
        if (ours and not _is_alive(int(pid))) or _age(path) > LEFTOVER_SECONDS:
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; a read-only store keeps it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: Path, content: bytes | memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        # Released also where writing fails: an error's traceback would keep views of the caller's buffer.
        with memoryview(content) as view:
            written = 0
            while written < len(view):
                with view[written:] as rest:
                    written += os.write(descriptor, rest)
    finally:
        os.close(descriptor)


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name unless that is taken; of two processes at once, the first one wins."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links: the last one wins there.
        if not path.exists():
            os.replace(temporary, path)


def machine_name() -> str:
    """Return what tells this machine, and the container on it, from others that share the store."""
    # Containers may share a host name, and count their processes each from 1.
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}-{os.stat('/proc/self/ns/pid').st_ino}"
    return socket.gethostname()


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
