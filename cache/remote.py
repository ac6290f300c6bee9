"""What lies elsewhere, through fsspec: opened once, asked again when the network fails, with errors of one kind.

fsspec and what it needs for a scheme are extras, imported when something elsewhere is asked for.
Credentials and endpoints are its own matter (the environment, `~/.config/fsspec`); nothing of them is
kept here. Whatever goes wrong is one of three: `FileNotFoundError`, `PermissionError`, `Unreachable`.
"""

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from .errors import Unreachable
from .index import Stamp
from .places import holds_secret

ATTEMPTS = 4
"""How often something is asked for in all."""
FIRST_PAUSE = 0.25
"""Seconds before the second attempt; each further pause is twice as long."""
CONNECTIONS = 32
"""What is fetched at once."""
SETTLED_SECONDS = 60.0
"""Where only a time tells a change: what changed later than this before it was looked at is not trusted."""

_MISSING = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "http": "aiohttp", "https": "aiohttp"}
# What names the content is better than what names a time.
_MARKS = ("generation", "VersionId", "ETag", "etag", "Content-MD5", "Digest")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created")
_FINAL = (ValueError, TypeError, NotImplementedError, ImportError, IsADirectoryError, NotADirectoryError)
_FINAL_ERRNOS = {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENAMETOOLONG, errno.ENOSPC}
_T = TypeVar("_T")

_opened: dict[tuple[str, str, int], Any] = {}
_opening = threading.Lock()


def open_filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, one per host and process whatever the thread, and its name there.

    Raises
    ------
    Unreachable
        Nothing that is installed reads such URLs, or the URL holds a password.
    """
    if holds_secret(url):
        scheme, _, rest = url.partition("://")
        shown = rest.partition("?")[0].rpartition("@")[2]
        raise Unreachable(
            f"{scheme}://{shown} was given with a password or a signature, which would be kept with the data set: "
            "expected a plain URL, and credentials in the environment (docs/remote.md)"
        )
    scheme, _, rest = url.partition("://")
    key = (scheme, rest.partition("/")[0], os.getpid())
    # fsspec would make one with connections of its own for every thread.
    with _opening:
        if key not in _opened:
            _opened[key] = _open(scheme, url)
        files = _opened[key]
    return files, str(files._strip_protocol(url))


def forget_filesystems() -> None:
    """Open file systems anew from now on, as after a change of the environment."""
    with _opening:
        _opened.clear()


def _open(scheme: str, url: str) -> Any:
    try:
        import fsspec
        from fsspec.config import conf
    except ImportError as error:
        raise Unreachable(
            f"{url} needs fsspec, which is not installed: pip install 'demijohn[remote]'{_and_more(scheme)}"
        ) from error
    options: dict[str, Any] = {}
    if scheme in ("s3", "s3a") and not any("config_kwargs" in conf.get(each, {}) for each in ("s3", "s3a")):
        # Ten are usual, and each waits for an answer most of its time.
        options["config_kwargs"] = {"max_pool_connections": CONNECTIONS}
    try:
        return fsspec.core.url_to_fs(url, **options)[0]
    except ImportError as error:
        needed = _MISSING.get(scheme)
        way = f"pip install {needed}" if needed else f"pip install 'demijohn[remote]' ({error})"
        raise Unreachable(f"{url} cannot be read by what is installed: {way}") from error
    except ValueError as error:
        raise Unreachable(
            f"{url} cannot be opened: {error}; expected a URL such as s3://bucket/photos, gs:// or https://"
        ) from error


def _and_more(scheme: str) -> str:
    more = _MISSING.get(scheme, "aiohttp")
    return "" if more == "aiohttp" else f" {more}"


def attempt(work: Callable[[], _T], url: str, *, doing: str = "read") -> _T:
    """Return what some work on a URL returns, tried again where it fails for a reason that may pass.

    Raises
    ------
    FileNotFoundError
        There is nothing of this name.
    PermissionError
        It may not be done with these credentials, or without any.
    Unreachable
        It failed `ATTEMPTS` times, or in a way that no repetition mends.
    """
    for number in range(ATTEMPTS):
        try:
            return work()
        except Exception as error:
            cause = _real(error)
            status = getattr(cause, "status", None)
            if isinstance(cause, FileNotFoundError) or status in (404, 410):
                raise FileNotFoundError(errno.ENOENT, "not there", url) from error
            # botocore has no credentials at all, or the server refuses those that it was given.
            if isinstance(cause, PermissionError) or status in (401, 403) or "Credentials" in type(cause).__name__:
                raise PermissionError(errno.EACCES, "no permission", url) from error
            if _is_final(cause, status) or number == ATTEMPTS - 1:
                text = " ".join(str(cause).split()) or type(cause).__name__
                tried = "" if _is_final(cause, status) else f" in {ATTEMPTS} attempts"
                unreachable = Unreachable(
                    f"{url} cannot be {_done(doing)}{tried}: {text}; what was finished is stored, try the same "
                    "command again"
                )
                unreachable.strerror = text
                raise unreachable from error
            # Many threads that failed together do not ask again together.
            time.sleep(FIRST_PAUSE * 2**number * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def _done(doing: str) -> str:
    return {"read": "read", "list": "listed", "write": "written"}[doing]


def _real(error: Exception) -> BaseException:
    """Return what really happened: fsspec's HTTP says of every failed look that nothing is there."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and cause is not None and type(cause).__module__.startswith("aiohttp"):
        return cause
    return error


def _is_final(error: BaseException, status: int | None) -> bool:
    if status is not None:
        return 400 <= status < 500 and status not in (408, 429)
    return isinstance(error, _FINAL) or (isinstance(error, OSError) and error.errno in _FINAL_ERRNOS)


def stamp_of(info: Mapping[str, Any], now: float) -> Stamp:
    """Return what tells later whether something elsewhere has changed, from what fsspec says of it at a time `now`.

    A version or an ETag where there is one, else size and time of change.

    >>> stamp_of({"size": 3, "ETag": '"0f"'}, 0.0)
    Stamp(size=3, mark='3 ETag "0f"')
    >>> stamp_of({"size": 3, "mtime": 100.0}, 1000.0), stamp_of({"size": 3, "mtime": 100.0}, 110.0)
    (Stamp(size=3, mark='3 mtime 100.0'), Stamp(size=3, mark=''))
    """
    size = info.get("size")
    size = size if isinstance(size, int) else None
    for name in _MARKS:
        if (value := info.get(name)) not in (None, "", "null"):
            return Stamp(size, f"{size} {name} {value}")
    for name in _TIMES:
        if (changed := _seconds(info.get(name))) is not None and size is not None:
            settled = abs(now - changed) > SETTLED_SECONDS
            return Stamp(size, f"{size} {name} {changed}" if settled else "")
    return Stamp(size, "")


def _seconds(value: Any) -> float | None:
    """Return a time as seconds since 1970, from what file systems say: a number, a datetime, or text."""
    if isinstance(value, int | float):
        return float(value)
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value) if value[:4].isdecimal() else parsedate_to_datetime(value)
        return float(value.timestamp()) if isinstance(value, datetime) else None
    except ValueError:
        return None
