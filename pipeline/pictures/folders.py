"""The walk through a folder: every picture file in a fixed order, and what else was met.

Hidden entries are skipped and counted, suffixes are case-blind, links are followed once, and what
cannot be opened is listed with its reason.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...cache.table import Skipped

_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .gif .tif .tiff .heic .heif .avif .jp2 .ppm .pgm .ico .psd"
)
SUFFIXES = frozenset(_SUFFIXES.split())
_Identity = tuple[int, int]


@dataclass(slots=True)
class Walk:
    """What was met on the way, so far."""

    paths: list[str] = field(default_factory=list)
    """Of the picture files, relative to the root, with forward slashes, in the order of their names folder by folder.

    Text, since there may be a million.
    """
    skipped: list[Skipped] = field(default_factory=list)
    hidden: int = 0
    """Entries whose name begins with a dot."""
    others: int = 0
    """Files that are no pictures by their suffix."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is being walked through."""

    inside: str
    """Its path relative to the root, with a slash at its end; empty for the root."""
    identity: _Identity
    linked: bool
    """Whether a link leads here, or led to a folder above."""
    entries: Iterator[os.DirEntry[str]]


def walk_folder(root: Path, *, leave_out: Path | None = None) -> Walk:
    """Return what is below a folder.

    `leave_out` is a folder that is not walked into: the store, which may lie inside.
    """
    walk = Walk()
    avoided = _identity(leave_out) if leave_out else None
    # Folders that links led to: among folders that link to each other the ways multiply.
    linked: set[_Identity] = set()
    # A stack instead of recursion, since folders may be nested deeper than Python's own stack.
    stack = [_open(root, "", False, walk)]
    while stack:
        folder = stack[-1]
        entry = next(folder.entries, None) if folder else None
        if folder is None or entry is None:
            stack.pop()
            continue
        path = folder.inside + entry.name
        if entry.name.startswith("."):
            walk.hidden += 1
        elif _is(entry.is_dir):
            inner = _open(root, f"{path}/", folder.linked or entry.is_symlink(), walk)
            if inner is None or inner.identity == avoided:
                continue
            if any(above is not None and above.identity == inner.identity for above in stack):
                walk.skipped.append(Skipped(path, "a link that leads back to a folder above it"))
            elif inner.linked and inner.identity in linked:
                walk.skipped.append(Skipped(path, "a folder that another link has led to before"))
            else:
                if inner.linked:
                    linked.add(inner.identity)
                stack.append(inner)
        elif os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
            walk.others += 1
        elif _is(entry.is_file):
            walk.paths.append(path)
        else:
            walk.skipped.append(Skipped(path, "a broken link" if entry.is_symlink() else "not a regular file"))
    return walk


def _open(root: Path, inside: str, linked: bool, walk: Walk) -> _Folder | None:
    here = root / inside
    try:
        stat = here.stat()
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        walk.skipped.append(Skipped(inside.removesuffix("/") or ".", f"folder cannot be opened: {error.strerror}"))
        return None
    return _Folder(inside, (stat.st_dev, stat.st_ino), linked, iter(entries))


def _identity(folder: Path) -> _Identity | None:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _is(question: Callable[[], bool]) -> bool:
    """Return the answer of a directory entry; a link that leads to itself is nothing."""
    try:
        return question()
    except OSError:
        return False
