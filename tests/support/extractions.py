"""Extractions with the stand-in backbone, and processes that are watched."""

import subprocess
import sys
from pathlib import Path

import h5py
from demijohn.pipeline import Extraction, extract_features
from demijohn.pipeline.progress import Silent
from support.commands import command


def extract(images: Path | None, store: Path, **arguments: object) -> Extraction:
    return extract_features(images, backbone="tiny", weights="random", store=store, **arguments)  # type: ignore[arg-type]


class Listening(Silent):
    """Keeps what is said."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def say(self, text: str) -> None:
        self.told.append(text)

    warn = say


def rows_of(path: Path | None) -> dict[bytes, bytes]:
    """Return key -> bytes of the row, through HDF5 alone."""
    assert path is not None
    with h5py.File(path) as file:
        pairs = zip(file["keys"][:], file["features"][:], strict=True)
        return {key.tobytes(): row.tobytes() for key, row in pairs}


NOTHING_HEAVY = "assert not {name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras', 'sklearn'}"


def run_watched(*arguments: str | Path, before: str = "", after: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process in which something is done before it and looked at after it."""
    program = command(*arguments)[1:]
    lines = ["import runpy, sys", before, f"sys.argv = {program!r}", "try:"]
    lines += ["    runpy.run_path(sys.argv[0], run_name='__main__')", "finally:", f"    {after}"]
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
