"""Which pictures somebody names: files, folders, tables, lists of paths, or paths on standard input."""

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...cache.places import is_url, place_of
from ...cache.table import Skipped
from ..datasets.labels import first_few
from ..datasets.tables import is_table, read_paths
from ..errors import InvalidRequest, NoImages
from ..pictures.folders import SUFFIXES, walk_folder
from ..pictures.sources import list_elsewhere

STANDARD_INPUT = "-"
LIST_SUFFIX = ".txt"


@dataclass(slots=True)
class Pictures:
    """What was named, in the order in which it was."""

    paths: list[str] = field(default_factory=list)
    """As they can be opened from here; each once."""
    skipped: list[Skipped] = field(default_factory=list)
    """What cannot be opened, with its path as it was named."""


def list_pictures(sources: Sequence[str | Path], *, leave_out: Path | None = None) -> Pictures:
    """Return the pictures that some names stand for; none is read.

    Parameters
    ----------
    sources : sequence of path
        A folder stands for the picture files below it, a `.csv` table for its column `path`, a `.txt` file for a path
        a line (both relative to their own folder), `-` for a path a line on standard input; anything else is a picture.
        A picture, a folder or a table may also be a URL.
    leave_out : Path, optional
        A folder that is not walked into: the store, which may lie inside.

    Raises
    ------
    NoImages
        Nothing of that name is there, or there is no picture in it.
    InvalidRequest
        A table has no column path.
    """
    named: dict[str, None] = {}
    skipped: dict[str, str] = {}
    for source in sources:
        text = os.fspath(source)
        path = Path(text).expanduser()
        if is_url(text):
            _add_url(str(place_of(text)), named, skipped)
            continue
        if not text:
            raise InvalidRequest("an empty name is given: expected a picture, a folder, a .csv table or a .txt list")
        if text == STANDARD_INPUT:
            _add_lines(sys.stdin, "", text, named, skipped)
        elif path.is_dir():
            _add_folder(path, leave_out, named, skipped)
        elif not path.exists():
            kind = "a broken link" if path.is_symlink() else "not there"
            raise NoImages(f"expected a picture, a folder, a .csv table or a .txt list, but {path} is {kind}")
        elif is_table(path):
            _add_listed(read_paths(path), str(path.parent), str(path), named, skipped)
        elif path.suffix.lower() == LIST_SUFFIX:
            with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                _add_lines(lines, str(path.parent), str(path), named, skipped)
        else:
            _add(str(path), named, skipped)
    if not named and not skipped:
        raise NoImages("no pictures are named: expected files, folders, a .csv table or a .txt list")
    if not named:
        first, reason = next(iter(skipped.items()))
        raise NoImages(f"none of the pictures that are named can be opened, {len(skipped):,} in all: {first}, {reason}")
    return Pictures(list(named), [Skipped(*each) for each in skipped.items()])


def _add_url(url: str, named: dict[str, None], skipped: dict[str, str]) -> None:
    if is_table(url):
        _add_listed(read_paths(url), url.rpartition("/")[0], url, named, skipped)
    elif os.path.splitext(url)[1].lower() in SUFFIXES:
        named[url] = None
    else:
        found = list_elsewhere(url).walk.paths
        if not found:
            raise NoImages(f"no pictures in {url}: expected files such as 1.jpg, found none")
        named.update(dict.fromkeys(f"{url}/{path}" for path in found))


def _add_folder(root: Path, leave_out: Path | None, named: dict[str, None], skipped: dict[str, str]) -> None:
    walk = walk_folder(root, leave_out=leave_out)
    if not walk.paths:
        why = f"; {walk.skipped[0].path}: {walk.skipped[0].reason}" if walk.skipped else ""
        found = f"{walk.others:,} files of other kinds" if walk.others else "nothing"
        raise NoImages(f"no pictures in {root}: expected files such as 1.jpg, found {found}{why}")
    prefix = os.path.join(root, "")
    named.update(dict.fromkeys(prefix + path for path in walk.paths))
    skipped.update({prefix + each.path: each.reason for each in walk.skipped})


def _add_lines(lines: Iterable[str], folder: str, source: str, named: dict[str, None], skipped: dict[str, str]) -> None:
    paths = [line for text in lines if (line := text.rstrip("\r\n")).strip()]
    if not paths:
        raise NoImages(f"no pictures in {source}: expected a path a line, found none")
    if any("\0" in path for path in paths):
        raise InvalidRequest(f"{source} is no list of paths: expected a path a line, found {first_few(paths)!r}")
    _add_listed(paths, folder, source, named, skipped)


def _add_listed(
    paths: Sequence[str], folder: str, source: str, named: dict[str, None], skipped: dict[str, str]
) -> None:
    """Add what a list names; raise where nothing of it is there, which is another list or another folder."""
    found: dict[str, None] = {}
    lost: dict[str, str] = {}
    for path in paths:
        _add(path if is_url(path) or folder == "." else os.path.join(folder, path), found, lost)
    if not found:
        raise NoImages(
            f"none of the pictures that {source} names can be opened, {len(lost):,} in all: expected paths relative "
            f"to {os.path.abspath(folder)}, found {first_few(list(paths))}"
        )
    named.update(found)
    skipped.update(lost)


def _add(path: str, named: dict[str, None], skipped: dict[str, str]) -> None:
    """Add a file, or why it cannot be one; opening a pipe would wait for its other end."""
    if is_url(path):
        # What lies elsewhere is asked when it is read.
        named[path] = None
        return
    try:
        mode = os.stat(path).st_mode
    except ValueError:
        skipped[path] = "no possible name of a file"
    except OSError as error:
        skipped[path] = f"cannot be opened, {error.strerror}"
    else:
        if stat.S_ISREG(mode):
            named[path] = None
        else:
            skipped[path] = "not a regular file"
