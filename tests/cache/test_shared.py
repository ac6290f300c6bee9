"""Files at a URL: whole or not at all, and nothing unfinished among them."""

from pathlib import Path

import pytest
from demijohn.cache import Unreachable
from demijohn.cache.files import PARTIAL
from demijohn.cache.shared import SharedCache
from support.s3 import BUCKET, S3


@pytest.fixture(params=["s3", "file", "memory"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> SharedCache:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return SharedCache(f"s3://{BUCKET}/cache")
    return SharedCache(f"{request.param}://{tmp_path}/cache")


def test_what_was_written_is_listed_and_read(shared: SharedCache, tmp_path: Path) -> None:
    assert shared.list("parts") == {}
    assert shared.read("parts/a.h5") is None
    for name, content in {"a.h5": b"abc", "more/b.h5": b""}.items():
        (tmp_path / "x").write_bytes(content)
        shared.upload(tmp_path / "x", f"parts/{name}")
    assert shared.list("parts") == {"a.h5": 3, "more/b.h5": 0}
    assert shared.read("parts/a.h5") == b"abc"
    shared.download("parts/a.h5", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"abc"
    with pytest.raises(FileNotFoundError, match=r"cache/parts/c\.h5"):
        shared.download("parts/c.h5", tmp_path / "y")


def test_what_is_being_written_is_not_there(tmp_path: Path) -> None:
    shared = SharedCache(f"file://{tmp_path}/cache")
    (tmp_path / "cache" / "parts").mkdir(parents=True)
    (tmp_path / "cache" / "parts" / f"a.h5.host.1{PARTIAL}").touch()
    assert shared.list("parts") == {}


def test_a_bucket_that_is_not_there_cannot_be_written(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises((FileNotFoundError, Unreachable), match="s3://no-such-bucket/x"):
        SharedCache("s3://no-such-bucket").upload(tmp_path / "x", "x")
