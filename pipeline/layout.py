"""A folder of pictures, walked in a fixed order: which files, which labels, which given splits.

    CLASS/*.jpg                 class folders; the label is the first folder
    train|val|valid|validation|test/CLASS/*.jpg
                                split folders, where all visible top folders are such
    *.jpg                       pictures beside class folders have no label

Hidden entries are skipped and counted, suffixes are case-blind, and what cannot be opened is
listed with its reason.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..cache.table import Skipped, Split
from .errors import InvalidRequest, NoImages

SUFFIXES = frozenset([".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"])
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One picture file, not yet opened."""

    path: str
    """Relative to the root, with forward slashes."""
    label: str
    """Name of the class folder; empty where there is none."""
    split: Split | None
    """From a split folder."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds."""

    root: Path
    layout: str
    files: tuple[Found, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Walk:
    """What is met on the way besides pictures."""

    leave_out: Path | None
    skipped: list[Skipped] = field(default_factory=list)
    hidden: int = 0
    others: int = 0


def list_images(root: Path, *, leave_out: Path | None = None) -> Listing:
    """Return the pictures below a folder, in the order of their paths.

    `leave_out` is a folder that is not walked into: the store, which may lie inside.

    Raises
    ------
    NoImages
        There is no such folder, or no picture in it.
    InvalidRequest
        There is a test or validation folder but none for training.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "not there"
        raise NoImages(f"expected a folder of pictures, but {root} is {kind}: name a folder such as photos/")
    walk = _Walk(leave_out.resolve() if leave_out else None)
    paths = list(_walk(root, PurePosixPath(), (), walk))
    if not paths:
        unreadable = f", {len(walk.skipped)} that cannot be opened" if walk.skipped else ""
        raise NoImages(
            f"no pictures in {root}: expected class folders such as {root}/cats/1.jpg "
            f"({', '.join(sorted(SUFFIXES))}), found {walk.others} other files{unreadable}"
        )
    split_folders, notes = _split_folders(paths)
    if walk.hidden:
        notes.append(f"hidden entries skipped: {walk.hidden:,}")
    if walk.others:
        notes.append(f"files of other kinds left alone: {walk.others:,}")
    files = tuple(_found(path, split_folders) for path in paths)
    loose = sum(not file.label for file in files)
    if loose:
        notes.append(f"pictures in no class folder, extracted but not trained on: {loose:,}")
    if split_folders:
        layout = "split folders: " + ", ".join(sorted(split_folders))
    else:
        layout = "class folders" if loose < len(files) else "no class folders"
    return Listing(root, layout, files, tuple(walk.skipped), tuple(notes))


def _found(path: PurePosixPath, split_folders: dict[str, Split]) -> Found:
    folders = path.parts[:-1]
    split = None
    if split_folders and folders:
        split, folders = split_folders[folders[0]], folders[1:]
    return Found(str(path), folders[0] if folders else "", split)


def _split_folders(paths: list[PurePosixPath]) -> tuple[dict[str, Split], list[str]]:
    """Return which top folders are splits, if all of them are, and what should be said about it."""
    tops = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    named = [top for top in tops if top.lower() in _SPLIT_NAMES]
    flat = sorted({path.parts[0] for path in paths if len(path.parts) == 2})
    if not named:
        return {}, []
    if len(named) < len(tops) or flat:
        others = [top for top in tops if top not in named]
        why = f"beside them there is {', '.join(others)}" if others else f"pictures lie directly in {', '.join(flat)}"
        return {}, [f"taken as classes, not as splits, because {why}: {', '.join(named)}"]
    found = {top: _SPLIT_NAMES[top.lower()] for top in tops}
    if "train" not in found.values():
        raise InvalidRequest(
            f"found the split folders {', '.join(tops)} but none for training: "
            "add a folder `train` with the same class folders, or put the class folders at the top"
        )
    return found, []


def _walk(
    root: Path, inside: PurePosixPath, above: tuple[tuple[int, int], ...], walk: _Walk
) -> Iterator[PurePosixPath]:
    here = root / inside
    try:
        stat = here.stat()
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        walk.skipped.append(Skipped(str(inside), f"folder cannot be opened: {error.strerror}"))
        return
    identity = (stat.st_dev, stat.st_ino)
    if identity in above:
        walk.skipped.append(Skipped(str(inside), "a link that leads back to a folder above it"))
        return
    for entry in entries:
        path = inside / entry.name
        if entry.name.startswith("."):
            walk.hidden += 1
        elif _is(entry.is_dir):
            if walk.leave_out is not None and (root / path).resolve() == walk.leave_out:
                continue
            yield from _walk(root, path, (*above, identity), walk)
        elif path.suffix.lower() not in SUFFIXES:
            walk.others += 1
        elif _is(entry.is_file):
            yield path
        else:
            walk.skipped.append(Skipped(str(path), "a broken link" if entry.is_symlink() else "not a regular file"))


def _is(question: Callable[[], bool]) -> bool:
    """Return the answer of a directory entry; a link that leads to itself is nothing."""
    try:
        return question()
    except OSError:
        return False
