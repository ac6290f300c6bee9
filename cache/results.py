"""Results that were expensive and may be deleted at any time: plain values and arrays, each in a file of its own.

A file is named by a digest of everything that its content hangs on, so nothing in it can be out of
date: other inputs look for another name. One that is damaged is made again.
"""

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import remove, remove_leftovers, write_bytes

_PLAIN = "plain.json"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What was computed."""

    values: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values."""
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Of numbers, or of bytes of one length."""


class KeptResults:
    """Results in one folder; `edition` counts up when the same inputs would give others."""

    def __init__(self, folder: Path, edition: int) -> None:
        self.folder = folder
        self._edition = edition
        self._used: set[str] = set()

    def recall(self, kind: str, inputs: dict[str, Any], compute: Callable[[], Result]) -> Result:
        """Return the result of these inputs, computed where it is not there.

        Parameters
        ----------
        kind : str
            What it is, a word; the beginning of the file's name.
        inputs : dict
            Plain JSON values: everything that the result hangs on.
        compute : callable
        """
        canonical = json.dumps([self._edition, inputs], sort_keys=True, separators=(",", ":"))
        path = self.folder / f"{kind}-{hashlib.sha256(canonical.encode()).hexdigest()[:32]}.npz"
        self._used.add(path.name)
        # A file that is absent, damaged or not ours is computed again.
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return _read(path)
        result = compute()
        write_bytes(path, _pack(result))
        return result

    def forget_others(self) -> None:
        """Remove every result that was not asked for."""
        remove_leftovers(self.folder)
        for path in self.folder.glob("*.npz"):
            if path.name not in self._used:
                remove(path)


def _read(path: Path) -> Result:
    # Opened here, since NumPy leaves a damaged file open.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        values = json.loads(file[_PLAIN].tobytes())
        return Result(values, {name: file[name] for name in file.files if name != _PLAIN})


def _pack(result: Result) -> bytes:
    buffer = io.BytesIO()
    plain = np.frombuffer(json.dumps(result.values, allow_nan=False).encode(), dtype=np.uint8)
    arrays: dict[str, Any] = {_PLAIN: plain, **result.arrays}
    np.savez(buffer, **arrays)
    return buffer.getvalue()
