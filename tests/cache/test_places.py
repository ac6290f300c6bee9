"""Paths and URLs: told apart, joined, and what must not be kept in one."""

from pathlib import Path

import pytest
from demijohn.cache.places import holds_secret, is_url, name_of, place_of, place_within


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("photos/", Path("photos")),
        (Path("photos"), Path("photos")),
        ("s3://b", "s3://b"),
        ("s3://b/", "s3://b"),
        ("s3://b/a//", "s3://b/a"),
        ("memory://", "memory://"),
        ("file:///tmp/x", "file:///tmp/x"),
        ("C://photos", Path("C://photos")),
        ("odd://name", "odd://name"),
    ],
)
def test_a_place_is_a_path_or_a_url(where: str | Path, place: Path | str) -> None:
    assert place_of(where) == place
    assert isinstance(place_of(where), str) == (isinstance(where, str) and is_url(where))


def test_what_is_within_a_root_may_lie_elsewhere() -> None:
    assert place_within(Path("/a"), "b/c.jpg") == Path("/a/b/c.jpg")
    assert place_within(Path("/a"), "/b.jpg") == Path("/b.jpg")
    assert place_within(Path("/a"), "s3://b/c.jpg") == "s3://b/c.jpg"
    assert place_within("s3://b", "c d/e.jpg") == "s3://b/c d/e.jpg"
    assert (name_of(Path("/a/b.csv")), name_of("s3://b/c.csv"), name_of("s3://b")) == ("b.csv", "c.csv", "b")


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://me:word@host/a.jpg", True),
        ("https://token@host/a.jpg", True),
        ("https://host/a.jpg?X-Amz-Expires=9&X-Amz-Signature=0", True),
        ("https://host/a.jpg?sv=1&sig=0", True),
        ("https://host/a.jpg?Signature=0", True),
        ("https://host/a@b.jpg", False),
        ("https://host/a.jpg?design=0", False),
        ("s3://bucket/sig=0/a.jpg", False),
    ],
)
def test_passwords_and_signatures_are_found(url: str, secret: bool) -> None:
    assert holds_secret(url) == secret
