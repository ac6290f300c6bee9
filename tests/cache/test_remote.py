"""What lies elsewhere: stamps, attempts, and errors of one kind that say what to do."""

import errno
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from demijohn.cache import Unreachable, remote
from demijohn.cache.index import Stamp
from demijohn.cache.remote import ATTEMPTS, attempt, forget_filesystems, open_filesystem, stamp_of

URL = "s3://bucket/a.jpg"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait for nothing, and return what would have been waited for."""
    waited: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waited.append)
    return waited


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


class Answer(Exception):
    """An HTTP status, as aiohttp raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status = status


class NoCredentialsError(Exception):
    """As botocore raises it."""


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "x"), TimeoutError(), Answer(500), Answer(429), ConnectionError()]
)
def test_what_may_pass_is_tried_again_a_bounded_number_of_times(error: Exception, pauses: list[float]) -> None:
    assert attempt(failing(*[error] * (ATTEMPTS - 1)), URL) == "done"
    assert len(pauses) == ATTEMPTS - 1
    # Twice as long each time, but for a half more or less, so that many do not come back together.
    assert all(0.125 * 2**number <= pause <= 0.375 * 2**number for number, pause in enumerate(pauses))
    with pytest.raises(Unreachable, match=f"cannot be listed in {ATTEMPTS} attempts: .*try the same command again"):
        attempt(failing(*[error] * ATTEMPTS), URL, doing="list")
    assert len(pauses) == 2 * (ATTEMPTS - 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("x"), FileNotFoundError),
        (Answer(404), FileNotFoundError),
        (PermissionError("x"), PermissionError),
        (Answer(403), PermissionError),
        (NoCredentialsError(), PermissionError),
        (ValueError("x"), Unreachable),
        (Answer(400), Unreachable),
        (OSError(errno.EINVAL, "x"), Unreachable),
    ],
)
def test_what_does_not_pass_is_told_at_once(error: Exception, kind: type[Exception], pauses: list[float]) -> None:
    with pytest.raises(kind) as caught:
        attempt(failing(error), URL)
    assert URL in str(caught.value)
    assert not pauses


def test_a_stamp_is_a_version_or_an_etag_else_size_and_time() -> None:
    changed = datetime(2026, 1, 1, tzinfo=UTC)
    later = changed.timestamp() + 3600

    def mark(**info: object) -> str:
        return stamp_of(info, later).mark

    assert mark(size=1, ETag="a", LastModified=changed) == "1 ETag a"
    assert mark(size=1, VersionId="null", ETag="a") == "1 ETag a"
    assert mark(size=1, VersionId="v", ETag="a") == "1 VersionId v"
    assert mark(size=1, generation="7", etag="a") == "1 generation 7"
    assert mark(size=1, mtime=5.0) == "1 mtime 5.0"
    assert mark(size=1, created=changed) == f"1 created {changed.timestamp()}"
    web = "Thu, 01 Jan 2026 00:00:00 GMT"
    assert mark(**{"size": 1, "Last-Modified": web}) == f"1 Last-Modified {changed.timestamp()}"
    assert mark(size=1, updated="2026-01-01T00:00:00Z") == f"1 updated {changed.timestamp()}"
    # Nothing is better than what may deceive.
    assert stamp_of({"mtime": 5.0}, later) == stamp_of({}, later) == Stamp(None, "")
    assert mark(size=1, updated="yesterday") == mark(size=1, mtime=later - 59) == mark(size=1, mtime=later + 59) == ""


def test_a_scheme_that_needs_more_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_filesystems()
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(Unreachable, match="gs://b/x cannot be read by what is installed: pip install gcsfs"):
        open_filesystem("gs://b/x")
    with pytest.raises(Unreachable, match="Protocol not known: odd; expected a URL such as"):
        open_filesystem("odd://b/x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for url, more in {"s3://b/x": "", "gs://b/x": " gcsfs"}.items():
        with pytest.raises(Unreachable) as caught:
            open_filesystem(url)
        assert str(caught.value).endswith(f"needs fsspec, which is not installed: pip install 'demijohn[remote]'{more}")


def test_secrets_are_neither_taken_nor_told() -> None:
    for url in ("https://me:word@host/a.jpg", "https://host/a.jpg?X-Amz-Signature=word"):
        with pytest.raises(Unreachable, match="credentials in the environment") as caught:
            open_filesystem(url)
        assert "word" not in str(caught.value).replace("password", "")


def test_one_file_system_serves_all_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        found = {id(files) for files, _ in threads.map(open_filesystem, ["memory://x/y"] * 8)}
    assert len(found) == 1


def test_each_host_has_a_file_system_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_filesystems()
    opened: list[str] = []
    files = open_filesystem("memory://x/y")[0]
    monkeypatch.setattr(remote, "_open", lambda _, url: opened.append(url) or files)
    for url in ("memory://x/z", "memory://other/y", "memory://other/z/w", "file:///x/y"):
        open_filesystem(url)
    assert opened == ["memory://other/y", "file:///x/y"]
    forget_filesystems()
