"""Compiled backbones, kept so that the next extraction starts in a moment; disposable.

    engines/<digest>/manifest.json   what it was made of, and the SHA-256 of every other file
    engines/<digest>/...             the engine's own files

The digest is of everything that compiling hangs on, versions included, so that what was made of
something else is not found. A folder whose bytes have changed is removed and made anew.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DamagedFile, StoreNotWritable
from .files import LEFTOVER_SECONDS, fsync, partial_name, read_json, remove, remove_leftovers, writing_errors

_MANIFEST = "manifest.json"
_YOUNG = 3600
"""Seconds in which a form is left alone that nobody seems to use."""
Made = Mapping[str, Any]
"""What something is compiled of: JSON values by name; `versions` among them."""


class CompiledForms:
    """The folder `engines` of a store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def provide(self, made: Made, compile_into: Callable[[Path], None], *, keep: bool = True) -> Iterator[Path]:
        """Give the folder of a compiled form: as it was kept, or compiled now, and kept if the store can be written.

        Parameters
        ----------
        made : mapping
            Everything that it is made of.
        compile_into : callable
            Writes files into an empty folder.
        keep : bool
            Keep what is compiled now.
        """
        found = self.find(made)
        if found is None and keep:
            found = self._keep(made, compile_into)
        if found is not None:
            yield found
            return
        # On Windows an open file cannot be removed; the system does that later.
        with tempfile.TemporaryDirectory(prefix="demijohn-engine-", ignore_cleanup_errors=True) as folder:
            compile_into(Path(folder))
            yield Path(folder)

    def find(self, made: Made, *, again: bool = True) -> Path | None:
        """Return the folder of a compiled form whose bytes are as they were written, or None."""
        folder = self._folder / _digest(made)
        try:
            manifest = read_json(folder / _MANIFEST)
            files = dict(manifest["files"])
            if all(_hash(folder / name) == digest for name, digest in files.items()):
                return folder
        except FileNotFoundError:
            # Another process may be about to put it there.
            if not (folder / _MANIFEST).exists() and not any(folder.glob("*")):
                return None
            if again:
                return self.find(made, again=False)
        except (OSError, DamagedFile, KeyError, TypeError, ValueError):
            pass
        remove(folder)
        return None

    def _keep(self, made: Made, compile_into: Callable[[Path], None]) -> Path | None:
        """Return the folder into which it was compiled; None where the store cannot be written."""
        folder = self._folder / _digest(made)
        partial = partial_name(folder)
        try:
            with writing_errors(folder):
                partial.mkdir(parents=True)
                compile_into(partial)
                names = sorted(path.name for path in partial.iterdir())
                manifest = {"made_of": made, "files": {name: _hash(partial / name) for name in names}}
                (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "ascii")
                for path in [*partial.iterdir(), partial]:
                    fsync(path)
                with contextlib.suppress(OSError):
                    # Another process may have been faster; its form is as good.
                    os.rename(partial, folder)
                fsync(self._folder)
        except StoreNotWritable:
            return None
        finally:
            remove(partial)
        self._remove_older(made)
        return self.find(made)

    def prune(self, is_used: Callable[[Made], bool]) -> tuple[int, int]:
        """Remove forms that nobody uses, but for those of the last hour; return how many, and their bytes.

        Parameters
        ----------
        is_used : callable
            Says whether what was made of this is used.
        """
        remove_leftovers(self._folder)
        count = size = 0
        for path in self._folder.glob(f"*/{_MANIFEST}"):
            with writing_errors(path.parent), contextlib.suppress(FileNotFoundError):
                made = _made_of(path)
                # Who has just compiled it may not have begun the feature set yet.
                if (made is None or not is_used(made)) and time.time() - path.stat().st_mtime > _YOUNG:
                    files = sum(each.stat().st_size for each in path.parent.rglob("*") if each.is_file())
                    gone = partial_name(path.parent)
                    path.parent.rename(gone)
                    remove(gone)
                    count, size = count + 1, size + files
        return count, size

    def _remove_older(self, made: Made) -> None:
        """Remove forms of the same that other versions made a day ago or before, and what killed processes left."""
        remove_leftovers(self._folder)
        alike = {**made, "versions": None}
        for path in self._folder.glob(f"*/{_MANIFEST}"):
            with contextlib.suppress(OSError):
                other = _made_of(path)
                # Another installation may be about to open a younger one.
                is_old = time.time() - path.stat().st_mtime > LEFTOVER_SECONDS
                if is_old and other is not None and other != made and {**other, "versions": None} == alike:
                    remove(path.parent)


def _made_of(manifest: Path) -> Made | None:
    """Return what a form was made of; None where it does not say."""
    try:
        made = read_json(manifest).get("made_of")
    except DamagedFile:
        return None
    return made if isinstance(made, dict) else None


def _digest(made: Made) -> str:
    return hashlib.sha256(json.dumps(made, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
