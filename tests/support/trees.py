"""Folders of files that are listed but never opened."""

from pathlib import Path


def make(root: Path, *paths: str) -> Path:
    """Write files of some bytes below a folder; return the folder."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"not opened here")
    return root
