"""Where pictures come from: files of this machine, or what fsspec reaches by URL. Listed, looked at, read.

What lies elsewhere is waited for rather than computed, so many are asked for at once. Whether it has
changed is told by its stamp (version, ETag, or size and time), which a listing brings along.
"""

import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ...cache.errors import Unreachable
from ...cache.index import FileIndex, Stamp
from ...cache.part import Key
from ...cache.places import Place
from ...cache.remote import CONNECTIONS, attempt, open_filesystem, stamp_of
from ..errors import InvalidRequest, NoImages, UnreadableImage
from .folders import SUFFIXES, Walk
from .images import DEFAULT_POLICY, ReadingPolicy

HEAD_BYTES = 256 << 10
PATIENCE = 16
"""Pictures in a row that are out of reach before it is given up."""
_HIDDEN = re.compile(r"(?:.*?/)??\.[^/]*")
_OUT_OF_REACH = "cannot be reached"
_WEB = ("http://", "https://")
_A = TypeVar("_A")
_B = TypeVar("_B")


def read_file(place: Place, policy: ReadingPolicy = DEFAULT_POLICY, *, size: int | None = None) -> bytes:
    """Return the bytes of a picture; of this machine, this never waits for anything but the disk.

    Parameters
    ----------
    place : Place
    policy : ReadingPolicy
    size : int, optional
        Bytes, where they are known beforehand of what lies elsewhere.

    Raises
    ------
    UnreadableImage
        It is no regular file, or larger than any picture that is allowed.
    OSError
        It cannot be read.
    """
    if isinstance(place, str):
        if size is not None:
            _check_size(size, policy)
        content = _fetch(place, policy.max_bytes + 1)
        _check_size(len(content), policy)
        return content
    # A pipe without a writer would block the opening; what was opened is looked at, not the name.
    with open(os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage("not a regular file")
        _check_size(status.st_size, policy)
        return file.read()


def why_unreadable(error: Exception) -> str:
    """Return the reason that a skipped picture is listed with, in words that are the same for the same cause."""
    if isinstance(error, Unreachable):
        # In brackets, since it may name the picture: what stands before them tells the cause.
        return f"{_OUT_OF_REACH} ({error.strerror or error})"
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def read_head(url: str) -> bytes:
    """Return the first bytes of a picture elsewhere, in which most kinds have their header; or all of it.

    Raises
    ------
    OSError
        It cannot be read.
    """
    return _fetch(url, HEAD_BYTES)


def read_text(place: Place) -> bytes:
    """Return the bytes of a table.

    Raises
    ------
    OSError
        It cannot be read.
    """
    return _fetch(place, None) if isinstance(place, str) else place.read_bytes()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a folder elsewhere holds."""

    walk: Walk
    stamps: dict[str, Stamp]
    """By path."""


def list_elsewhere(url: str) -> Elsewhere:
    """Return the pictures below a URL, in the order of a walk, as `walk_folder` does of a folder.

    Raises
    ------
    NoImages
        There is nothing of this name.
    InvalidRequest
        The scheme knows no folders.
    Unreachable
        It cannot be listed.
    """
    if url.startswith(_WEB):
        raise InvalidRequest(
            f"{url} is a web address, which lists no folder: expected a CSV table that names the pictures, such as "
            f"{url}/labels.csv"
        )
    files, name = open_filesystem(url)
    base = name.rstrip("/")
    # What this process has seen before may have changed.
    files.invalidate_cache()
    try:
        found = attempt(lambda: files.find(base, detail=True), url, doing="list")
    except FileNotFoundError as error:
        raise NoImages(f"{url} is not there: expected a bucket, or a folder in one, that exists") from error
    except PermissionError as error:
        raise Unreachable(
            f"{url} may not be listed with the credentials of this environment: set those that may "
            "(AWS_PROFILE, AWS_ACCESS_KEY_ID, ...; docs/remote.md)"
        ) from error
    walk, stamps, now = Walk(), {}, time.time()
    hidden: set[str] = set()
    for whole, info in found.items():
        path = whole.removeprefix(f"{base}/")
        # Only the thing itself has no such beginning, and a slash at the end is the mark of a folder.
        if path == whole or not path or path.endswith("/"):
            continue
        if veiled := _HIDDEN.match(path):
            # The uppermost hidden folder counts, not all that is in it.
            hidden.add(veiled[0])
        elif os.path.splitext(path)[1].lower() not in SUFFIXES:
            walk.others += 1
        else:
            stamps[path] = stamp_of(info, now)
    walk.hidden = len(hidden)
    walk.paths = sorted(stamps, key=lambda path: path.split("/"))
    return Elsewhere(walk, stamps)


def stamp_urls(urls: Iterable[str]) -> dict[str, Stamp | str]:
    """Return the stamp of each URL, or why it cannot be had; many are asked for at once.

    Raises
    ------
    Unreachable
        Nothing that is installed reads such URLs.
    """
    wanted = list(dict.fromkeys(urls))
    for files in {id(files): files for files, _ in map(open_filesystem, wanted)}.values():
        # What this process has seen before may have changed.
        files.invalidate_cache()
    stamps, patience = [], Patience()
    for stamp in at_once(_stamp, wanted):
        patience.note(stamp if isinstance(stamp, str) else "")
        stamps.append(stamp)
    return dict(zip(wanted, stamps, strict=True))


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is known of pictures without reading them."""

    files: Mapping[Path, Key]
    """Of this machine, that have not changed since they were read."""
    objects: Mapping[str, Key]
    """The same of what lies elsewhere."""
    stamps: Mapping[str, Stamp | str]
    """Of what lies elsewhere, or why there is none."""


def recall_places(index: FileIndex, places: Sequence[Place]) -> Recalled:
    """Return the keys of pictures that have not changed, wherever they lie."""
    files = index.recall(place for place in places if isinstance(place, Path))
    stamps = stamp_urls(place for place in places if isinstance(place, str))
    there = {url: stamp for url, stamp in stamps.items() if isinstance(stamp, Stamp)}
    return Recalled(files, index.recall_objects(there), stamps)


def reading_threads(places: Iterable[Place]) -> int:
    """Return how many threads read some pictures best: a processor each, or more where the network is waited for."""
    # Here, since where all is cached nothing has need of it.
    from joblib import cpu_count

    elsewhere = any(isinstance(place, str) for place in places)
    return max(cpu_count(), CONNECTIONS) if elsewhere else int(cpu_count())


def at_once(work: Callable[[_A], _B], given: Sequence[_A]) -> Iterator[_B]:
    """Yield what a function makes of each, in order, as many at once as connections are kept."""
    if not given:
        return
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch") as threads:
        try:
            yield from threads.map(work, given)
        finally:
            threads.shutdown(cancel_futures=True)


class Patience:
    """Ends what finds one thing after the other out of reach: it is the network, not those things."""

    def __init__(self) -> None:
        self._failed = 0

    def note(self, reason: str) -> None:
        """Take note of why something could not be read; empty where it could.

        Raises
        ------
        Unreachable
            It is the last of many that could not be reached.
        """
        if not reason.startswith(_OUT_OF_REACH):
            self._failed = 0
            return
        self._failed += 1
        if self._failed >= PATIENCE:
            raise Unreachable(
                f"{self._failed} pictures one after the other {reason}; what was finished is stored, try the same "
                "command again"
            )


def _stamp(url: str) -> Stamp | str:
    files, name = open_filesystem(url)
    try:
        info = attempt(lambda: files.info(name), url)
    except OSError as error:
        return why_unreadable(error)
    return "not a regular file" if info.get("type") == "directory" else stamp_of(info, time.time())


def _fetch(url: str, limit: int | None) -> bytes:
    files, name = open_filesystem(url)
    if limit is None or url.startswith(_WEB):
        content = attempt(lambda: files.cat_file(name), url)
    else:
        try:
            # With limits, one request serves; without, s3fs asks for the size first.
            content = attempt(lambda: files.cat_file(name, start=0, end=limit), url)
        except Unreachable:
            # There is no first byte of nothing.
            if attempt(lambda: files.info(name), url).get("size") != 0:
                raise
            return b""
    return bytes(content)


def _check_size(size: int, policy: ReadingPolicy) -> None:
    if size > policy.max_bytes:
        raise UnreadableImage(
            f"larger than any picture that --max-pixels allows ({size:,} bytes, expected at most {policy.max_bytes:,})"
        )
