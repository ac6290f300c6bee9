"""Tables of data sets, and refusals, on their way between a store and a cache that a team shares.

Parts never change; a table of a data set does. So it is sent or installed where there is none, and one that
differs is left as it is unless it is to be replaced. Refusals go as files that are named by what is in them.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Literal

from .files import write_bytes
from .refusals import Refusal, append_refusals, parse_refusals, read_refusals
from .shared import SharedCache

Outcome = Literal["moved", "same", "kept"]
"""What became of a data set: it travelled, was the same on both sides, or differs and was left as it is."""


def push_dataset(store: Path, name: str, shared: SharedCache, *, replace: bool) -> Outcome:
    """Send the table of a data set; return what became of it."""
    files = _files(name)
    outcome = _compare((store / files[0]).read_bytes(), shared.read(files[0]), replace=replace)
    if outcome == "moved":
        # The table first: the other one tells that there is a data set.
        for file in files:
            shared.upload(store / file, file)
    return outcome


def pull_dataset(store: Path, name: str, shared: SharedCache, *, replace: bool) -> Outcome:
    """Install the table of a data set; return what became of it."""
    files = _files(name)
    path = store / files[0]
    theirs = shared.read(files[0]) or b""
    outcome = _compare(theirs, path.read_bytes() if (store / files[1]).exists() else None, replace=replace)
    if outcome == "moved":
        about = shared.read(files[1]) or b""
        write_bytes(path, theirs)
        write_bytes(store / files[1], about)
    return outcome


def list_datasets(shared: SharedCache) -> list[str]:
    """Return the names of the shared data sets, sorted."""
    return sorted(each.removesuffix(".json") for each in shared.list("datasets") if each.endswith(".json"))


def push_refusals(store: Path, shared: SharedCache) -> int:
    """Send the refusals that a shared cache lacks, as one file; return how many."""
    there = set(_shared_refusals(shared))
    lacking = [each for each in dict.fromkeys(read_refusals(store / "refusals.csv")) if each not in there]
    if lacking:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "refusals.csv"
            append_refusals(path, lacking)
            shared.upload(path, f"refusals/{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}.csv")
    return len(lacking)


def pull_refusals(store: Path, shared: SharedCache) -> int:
    """Add the refusals that a store lacks; return how many."""
    here = set(read_refusals(store / "refusals.csv"))
    lacking = [each for each in dict.fromkeys(_shared_refusals(shared)) if each not in here]
    append_refusals(store / "refusals.csv", lacking)
    return len(lacking)


def _shared_refusals(shared: SharedCache) -> list[Refusal]:
    names = sorted(shared.list("refusals"))
    return [each for name in names for each in parse_refusals(shared.read(f"refusals/{name}") or b"")]


def _files(name: str) -> tuple[str, str]:
    return f"datasets/{name}.csv", f"datasets/{name}.json"


def _compare(source: bytes, target: bytes | None, *, replace: bool) -> Outcome:
    if source == target:
        return "same"
    return "moved" if target is None or replace else "kept"
