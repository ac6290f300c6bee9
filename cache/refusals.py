"""Pictures that could not be read, so that they are not tried again in vain.

`refusals.csv` has a line per refusal: key, reason, decode policy, decoder versions. A refusal
holds only for the same bytes, policy and decoder. Lines are appended whole; a line torn by a
crash is ignored, and the picture is tried once more.
"""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .files import writing_errors
from .part import Key

_COLUMNS = ("key", "reason", "policy", "decoder")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one picture could not be read."""

    key: Key
    reason: str
    policy: str
    """The decode policy, as the recipe states it."""
    decoder: str
    """Name and version of what tried."""


def read_refusals(path: Path) -> list[Refusal]:
    """Return all refusals of a store, oldest first; a damaged line is left out."""
    return parse_refusals(path.read_bytes()) if path.exists() else []


def parse_refusals(content: bytes) -> list[Refusal]:
    """Return the refusals of a file's content; a damaged line is left out."""
    refusals = []
    # Line by line, so that one that was torn within quotes does not swallow those after it.
    for line in content.decode("utf-8", "replace").split("\n"):
        try:
            row = next(csv.reader([line]), [])
            key = bytes.fromhex(row[0]) if len(row) == len(_COLUMNS) else b""
        except (ValueError, csv.Error):
            continue
        if len(key) == 32:
            refusals.append(Refusal(key, *row[1:]))
    return refusals


def append_refusals(path: Path, refusals: Iterable[Refusal]) -> None:
    """Add refusals in one write, so that two processes never tear each other's lines."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for refusal in refusals:
        writer.writerow([refusal.key.hex(), " ".join(refusal.reason.split()), refusal.policy, refusal.decoder])
    if not text.tell():
        return
    with writing_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        header = "" if path.exists() else ",".join(_COLUMNS) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, (header + text.getvalue()).encode(errors="backslashreplace"))
        finally:
            os.close(descriptor)
