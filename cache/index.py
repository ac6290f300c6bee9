"""path, size, mtime -> key: so that a file that did not change is never read again; likewise what lies elsewhere.

The index is disposable. Locked, damaged or on a read-only disk, it is rebuilt or bypassed; the
only price is that files are read once more. A file whose mtime lies within two seconds of its
hashing is not trusted next time, since it may change again within one tick of its clock.

The same index remembers which arrays a weights file holds (file and backbone -> digest of the
arrays), so that a run that finds everything cached knows its recipe without loading a network.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from .part import Key

_P = TypeVar("_P", str, Path)
_TRUST_AFTER_NS = 2_000_000_000
_FEW = 10_000
"""So many paths are looked up one by one; of more, all that is known is read at once."""
_LAYOUT = 1
"""Raised when a table changes: a database of another layout is rebuilt. A table more is simply added."""
_SCHEMA = f"""
PRAGMA user_version = {_LAYOUT};
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, key BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (url BLOB PRIMARY KEY, mark TEXT, key BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS weights (file BLOB, backbone TEXT, digest TEXT, PRIMARY KEY (file, backbone)) WITHOUT ROWID;
"""


def hash_bytes(content: bytes) -> Key:
    """Return the key of a picture: SHA-256 of its bytes.

    >>> hash_bytes(b"").hex()[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(content).digest()


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file's key, and what tells later whether it is still that."""

    path: Path
    key: Key
    size: int
    """Bytes."""
    mtime_ns: int
    hashed_ns: int
    """When the reading began."""


class Stamp(NamedTuple):
    """What tells whether something elsewhere is still what it was."""

    size: int | None
    """Bytes, where that is told."""
    mark: str
    """Size with version, ETag or time of change; empty where nothing can be trusted."""


def hash_file(path: Path) -> Hashed:
    """Return the key of a file, read in blocks.

    The stamp is taken before the bytes: if the file changes while it is read, the old stamp does
    not fit next time, and the file is read again.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    stat, now = path.stat(), time.time_ns()
    with path.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").digest()
    return Hashed(path, key, stat.st_size, stat.st_mtime_ns, now)


class FileIndex:
    """What is remembered of files, in one SQLite file; created with the first entry."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self, paths: Iterable[_P]) -> dict[_P, Key]:
        """Return the keys of those files that have not changed since they were hashed.

        A file that cannot be examined (gone, no permission) is left out.
        """
        here = os.path.join(os.getcwd(), "")
        whole = {path: text if os.path.isabs(text := os.fspath(path)) else here + text for path in paths}
        query, values = "SELECT path, size, mtime_ns, key FROM files", tuple(map(os.fsencode, whole.values()))
        if len(whole) <= _FEW:
            query += f" WHERE path IN ({','.join('?' * len(whole))})"
        known = {
            os.fsdecode(path): (size, mtime, key)
            for path, size, mtime, key in self._select(query, values if len(whole) <= _FEW else ())
            # A zeroed page gives rows of nothing.
            if isinstance(path, bytes) and isinstance(key, bytes) and len(key) == 32
        }
        keys = {}
        for path, text in whole.items():
            entry = known.get(text)
            if entry and _stamp(text) == entry[:2]:
                keys[path] = entry[2]
        return keys

    def remember(self, files: Iterable[Hashed]) -> None:
        """Keep keys of files, but for those that were hashed within two seconds of their mtime."""
        self._insert(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
            [
                (os.fsencode(file.path.absolute()), file.size, file.mtime_ns, file.key)
                for file in files
                if abs(file.hashed_ns - file.mtime_ns) > _TRUST_AFTER_NS
            ],
        )

    def recall_objects(self, stamps: Mapping[str, Stamp]) -> dict[str, Key]:
        """Return the keys of what lies elsewhere, by URL, where its stamp is the one that it was read with."""
        known = {
            os.fsdecode(url): (mark, key)
            for url, mark, key in (self._select("SELECT url, mark, key FROM objects") if stamps else [])
            if isinstance(url, bytes) and isinstance(key, bytes) and len(key) == 32
        }
        found = {url: known[url] for url in stamps if url in known}
        return {url: key for url, (mark, key) in found.items() if mark and mark == stamps[url].mark}

    def remember_objects(self, read: Mapping[str, tuple[Stamp, Key]]) -> None:
        """Keep the keys of what was read elsewhere, by URL, where its stamp can be trusted."""
        self._insert(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?)",
            [(os.fsencode(url), stamp.mark, key) for url, (stamp, key) in read.items() if stamp.mark],
        )

    def recall_weights(self, file: Key, backbone: str) -> str | None:
        """Return the digest of the arrays that a weights file holds for a backbone, if it is known."""
        rows = self._select("SELECT digest FROM weights WHERE file = ? AND backbone = ?", (file, backbone))
        return str(rows[0][0]) if rows else None

    def remember_weights(self, file: Key, backbone: str, digest: str) -> None:
        """Keep the digest of the arrays that a weights file holds for a backbone."""
        self._insert("INSERT OR REPLACE INTO weights VALUES (?, ?, ?)", [(file, backbone, digest)])

    def _select(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        # Unlike Path.exists, this is False where it may not even be looked at.
        if not os.path.exists(self._path):
            return []
        try:
            connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
            try:
                if connection.execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
                    return []
                return connection.execute(query, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error:
            # Locked, damaged or of another layout: as if it were empty.
            return []

    def _insert(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._rebuild_if_foreign()
                self._insert_rows(statement, rows)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                # Damaged: rebuilt from nothing.
                self._path.unlink(missing_ok=True)
                self._insert_rows(statement, rows)
        except (OSError, sqlite3.Error):
            # Locked by another process for too long, or the folder is read-only: bypassed.
            return

    def _rebuild_if_foreign(self) -> None:
        """Remove a database of another layout; one that nobody has written to yet has version 0."""
        if not self._path.exists():
            return
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        finally:
            connection.close()
        if found != _LAYOUT and not empty:
            self._path.unlink(missing_ok=True)

    def _insert_rows(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            with connection:
                connection.executescript(_SCHEMA)
                connection.executemany(statement, rows)
        finally:
            connection.close()


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
