"""Where something lies: a path on this machine, or a URL, which fsspec reads and writes.

A URL is kept as text, since a `Path` would make one slash of its two. What is here opens nothing.
"""

import re
from pathlib import Path

Place = Path | str
"""A path on this machine, or the URL of something elsewhere as text."""

# Two letters at least: one is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SIGNED = re.compile(r"[?&](X-Amz-Signature|X-Goog-Signature|Signature|AWSAccessKeyId|sig|token)=", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Return whether a text is a URL.

    >>> is_url("s3://bucket/cats"), is_url("photos/cats"), is_url("C://cats")
    (True, False, False)
    """
    # Looked for first, since there may be a million paths.
    return "://" in text and _URL.match(text) is not None


def place_of(where: str | Path) -> Place:
    """Return a path, or a URL without slashes at its end.

    >>> place_of("s3://bucket/photos/")
    's3://bucket/photos'
    """
    if not isinstance(where, str) or not is_url(where):
        return Path(where)
    scheme, _, rest = where.partition("://")
    return f"{scheme}://{rest.rstrip('/')}"


def place_within(root: Place, path: str) -> Place:
    """Return where a path lies that is relative to a root, or is a URL itself.

    >>> place_within("s3://bucket/photos", "cats/1.jpg"), place_within("s3://bucket", "https://host/1.jpg")
    ('s3://bucket/photos/cats/1.jpg', 'https://host/1.jpg')
    """
    if is_url(path):
        return path
    return root / path if isinstance(root, Path) else f"{root.rstrip('/')}/{path}"


def name_of(place: Place) -> str:
    """Return the last part of a place.

    >>> name_of("s3://bucket/labels.csv"), name_of("s3://bucket")
    ('labels.csv', 'bucket')
    """
    return place.name if isinstance(place, Path) else place.rpartition("/")[2]


def holds_secret(url: str) -> bool:
    """Return whether a URL carries a password or a signature, which must not be kept with a data set.

    >>> holds_secret("https://me:secret@host/1.jpg"), holds_secret("https://host/1.jpg?X-Amz-Signature=0f")
    (True, True)
    >>> holds_secret("https://host/1.jpg?size=2"), holds_secret("s3://bucket/a@b.jpg")
    (False, False)
    """
    host = url.partition("://")[2].partition("/")[0]
    return "@" in host or _SIGNED.search(url) is not None
