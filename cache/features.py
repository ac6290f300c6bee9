"""One feature set: the rows of one recipe, found and read by key.

    <backbone>-<digest>/recipe.json   the recipe, the provenance and the probe, written once
    <backbone>-<digest>/parts/*.h5    the rows (see `part`)
    <backbone>-<digest>/damaged/      parts that `cache verify --repair` took out of use
    <backbone>-<digest>/features.h5   the rows of all parts as one file, for any HDF5 reader (see `virtual`)
    <backbone>-<digest>/last-use      empty; its time is when rows were last asked for or added
    <backbone>-<digest>/speed.json    how fast the greatest extraction was; may be deleted

A part that another one supersedes is ignored, so that a merge becomes visible in one rename and
a reader never sees a row missing. A row in two parts counts once.
"""

import contextlib
import shlex
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .errors import DamagedFile, MissingFeatures
from .files import read_json, write_json
from .locks import VIEW_SECONDS, locked
from .part import SUFFIX, Key, Part, as_slice, keys_from_array, keys_to_array, open_part, read_rows, write_part
from .probe import Probe
from .recipe import Recipe
from .remedies import repair_hint
from .virtual import is_current, write_virtual


@dataclass(frozen=True, slots=True)
class Begun:
    """What was written down when a feature set was begun."""

    recipe: Recipe
    provenance: dict[str, Any]
    """What made the rows and is not part of the recipe: versions, machine, engine, batch size, date."""
    probe: Probe


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast rows were extracted."""

    images_per_second: float
    """By wall time, decoding included, with all threads."""
    images: int
    """How many were extracted at this speed."""
    shared: bool
    """Other feature sets or views were made of the same pictures meanwhile, so that alone it is faster."""


class Writable(Protocol):
    """A matrix, in memory or not, whose rows are written by a slice or by positions."""

    def __setitem__(self, rows: Any, block: NDArray[np.float32], /) -> None: ...


class FeatureSet:
    """The features of one recipe in one folder of the store."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        # A part never changes under its name, and its rows are checked whenever they are read.
        self._opened: dict[Path, Part] = {}

    def __reduce__(self) -> tuple[type[Self], tuple[Path, Recipe]]:
        """Go to another process as a name: what was opened here is opened there when it is needed."""
        return type(self), (self.folder, self.recipe)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the feature set that lies in a folder.

        Raises
        ------
        DamagedFile, NewerFormat, OlderFormat
            Its recipe.json cannot be read.
        """
        return cls(folder, _read_begun(folder / "recipe.json").recipe)

    @cached_property
    def digest(self) -> str:
        """Digest of the recipe."""
        return self.recipe.digest

    @property
    def path(self) -> Path:
        """The file `features.h5`, which shows all rows to any HDF5 reader."""
        return self.folder / "features.h5"

    @property
    def parts_folder(self) -> Path:
        """The folder `parts`."""
        return self.folder / "parts"

    @property
    def begun(self) -> Begun | None:
        """What was written down when this set was begun; None before that."""
        path = self.folder / "recipe.json"
        return _read_begun(path) if path.exists() else None

    def begin(self, provenance: dict[str, Any], probe: Probe) -> Begun:
        """Write recipe.json unless it is there; return what counts, which is of whoever was first."""
        path = self.folder / "recipe.json"
        if not path.exists():
            content = {"recipe": self.recipe.to_json(), "provenance": provenance, "probe": probe.to_json()}
            write_json(path, content, keep_existing=True)
        return _read_begun(path)

    def part_paths(self) -> list[Path]:
        """Return the files in the folder of parts, sorted; some may be superseded, or no parts."""
        return sorted(self.parts_folder.glob(f"*{SUFFIX}"))

    def parts(self) -> list[Part]:
        """Return the parts that count, in the order of their names; superseded ones are left out."""
        for _ in range(8):
            try:
                self._opened = {
                    path: self._opened.get(path) or open_part(path, self.digest) for path in self.part_paths()
                }
            except FileNotFoundError:
                # Another process pruned a part between the listing and the opening: its rows are in
                # a newer part, which a new listing shows.
                continue
            found = self._opened.values()
            superseded = frozenset().union(*(part.supersedes for part in found))
            return [part for part in found if part.path.name not in superseded]
        raise MissingFeatures(f"{self.parts_folder} keeps changing: expected it to settle; try again")

    def keys(self) -> set[Key]:
        """Return the keys of all rows."""
        return {key for part in self.parts() for key in keys_from_array(part.keys)}

    def find(self, keys: Collection[Key]) -> set[Key]:
        """Return which of some keys have a row; cheaper than `keys` where few are asked for."""
        wanted = np.unique(keys_to_array(list(keys)))
        places = [match_keys(wanted, part.keys)[0] for part in self.parts()]
        return {key for here in places for key in keys_from_array(wanted[here])}

    @property
    def width(self) -> int:
        """Number of features per row; 0 where there is no row yet."""
        return next((part.width for part in self.parts()), 0)

    def read(self, keys: Sequence[Key]) -> NDArray[np.float32]:
        """Return the features of some pictures, in the order asked; every row is checked.

        Each part is read once, front to back, in blocks; memory is the result and a few MB.

        Parameters
        ----------
        keys : sequence of Key, length n
            Content keys of the pictures; a key may repeat.

        Returns
        -------
        ndarray of shape (n, d), float32
            One row per key; d is the backbone's width (2048 for xception).

        Raises
        ------
        MissingFeatures
            Some key has no row. The message counts them, shows the first and names the command
            that adds them.
        DamagedFile
            A part's checksum does not fit.
        """
        rows = np.empty((len(keys), self.width), dtype=np.float32)
        self.read_into(rows, keys)
        return rows

    def read_into(self, rows: Writable, keys: Sequence[Key]) -> None:
        """Write the features of some pictures, in the order asked, into a matrix (n, d), block by block; see `read`."""
        for _ in range(8):
            parts = self.parts()
            try:
                return self._gather_into(rows, parts, keys_to_array(keys))
            except FileNotFoundError:
                continue
        raise MissingFeatures(f"{self.parts_folder} keeps changing: expected it to settle; try again")

    def gather(self, parts: Sequence[Part], wanted: NDArray[np.bytes_]) -> NDArray[np.float32]:
        """Return the rows of some keys (n,) S32 out of some parts; see `read`."""
        rows = np.empty((len(wanted), parts[0].width if parts else 0), dtype=np.float32)
        self._gather_into(rows, parts, wanted)
        return rows

    def _gather_into(self, rows: Writable, parts: Sequence[Part], wanted: NDArray[np.bytes_]) -> None:
        # Sorted once, so that each part is met in one sweep of its own length, not of all that is wanted.
        ascending = bool((wanted[1:] >= wanted[:-1]).all())
        order = np.arange(len(wanted)) if ascending else np.argsort(wanted, kind="stable")
        wanted = wanted if ascending else wanted[order]
        found = np.zeros(len(wanted), dtype=bool)
        for part in parts:
            here, row = match_keys(wanted, part.keys)
            new = ~found[here]
            here, row = here[new], row[new]
            for which, block in read_rows(part, row):
                rows[as_slice(order[here[which]])] = block
            found[here] = True
        if not found.all():
            # The first one in the order asked.
            at = order[~found].argmin()
            first = wanted[~found][at : at + 1].tobytes().hex()
            raise MissingFeatures(
                f"{np.count_nonzero(~found):,} of {len(wanted):,} pictures have no features of {self.recipe.backbone} "
                f"yet (the first is {first[:12]}): run {self.command()}"
            )

    def commit(self, keys: Sequence[Key], rows: NDArray[np.float32]) -> str:
        """Write some rows as one part, durably, and return the part's file name."""
        unique, first = np.unique(keys_to_array(keys), return_index=True)
        return write_part(self.parts_folder, unique, rows[first], recipe=self.digest).name

    def refresh(self) -> None:
        """Write features.h5 unless it shows just the parts that count.

        The parts are listed under the lock, so that of two processes at once the last one to write
        has seen the last part committed.
        """
        if not self.has_parts() or is_current(self.path, self.parts()):
            return
        with locked(self.folder / ".view.lock", seconds=VIEW_SECONDS):
            current = self.parts()
            if current and not is_current(self.path, current):
                write_virtual(self.path, current)

    def has_parts(self) -> bool:
        """Return whether there is any part, without opening one."""
        return any(self.parts_folder.glob(f"*{SUFFIX}"))

    @property
    def last_use(self) -> float | None:
        """When rows were last asked for or added, seconds since 1970; None where nobody noted it."""
        try:
            return (self.folder / "last-use").stat().st_mtime
        except OSError:
            return None

    def note_use(self) -> None:
        """Note that rows are asked for or added now; a read-only store does not."""
        with contextlib.suppress(OSError):
            (self.folder / "last-use").touch()

    @property
    def speed(self) -> Speed | None:
        """How fast the greatest extraction was; None where nobody noted it."""
        try:
            return Speed(**read_json(self.folder / "speed.json"))
        except (OSError, DamagedFile, TypeError):
            return None

    def note_speed(self, speed: Speed) -> None:
        """Keep how fast an extraction was, unless a greater one is known."""
        known = self.speed
        if known is None or speed.images >= known.images:
            write_json(self.folder / "speed.json", asdict(speed))

    def command(self) -> str:
        """Return the command that adds rows to this set."""
        begun = self.begun
        provenance = begun.provenance if begun else {}
        backbone, options = provenance.get("backbone", self.recipe.backbone), provenance.get("options", [])
        store = self.folder.parent.parent
        return shlex.join(["extract-features", "--backbone", backbone, *options, "--store", str(store)])


def match_keys(wanted: NDArray[np.bytes_], keys: NDArray[np.bytes_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where keys stand among those wanted and where among the others, both ascending.

    Parameters
    ----------
    wanted : ndarray of shape (n,), S32
        Ascending; a key may repeat.
    keys : ndarray of shape (m,), S32
        Ascending, each once; m is at least 1.
    """
    low, high = np.searchsorted(wanted, keys[0], "left"), np.searchsorted(wanted, keys[-1], "right")
    near = wanted[low:high]
    if len(near) <= len(keys):
        row = np.searchsorted(keys, near)
        here = np.flatnonzero(keys[row] == near)
        return low + here, row[here]
    # The shorter of the two is looked up in the longer.
    left, right = np.searchsorted(near, keys, "left"), np.searchsorted(near, keys, "right")
    count = right - left
    row = np.repeat(np.arange(len(keys)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return low + np.repeat(left, count) + within, row


def _read_begun(path: Path) -> Begun:
    mend = repair_hint(path.parent)
    return parse_begun(read_json(path, mend), str(path), mend)


def parse_begun(content: dict[str, Any], path: str, mend: str) -> Begun:
    """Return what the JSON object of a recipe.json says; `path` names it in errors, and `mend` ends those of damage.

    Raises
    ------
    DamagedFile, NewerFormat, OlderFormat
        It is none, or of another demijohn.
    """
    missing = [name for name in ("recipe", "provenance", "probe") if not isinstance(content.get(name), dict)]
    if "recipe" not in missing:
        # Its format may say that it is of another demijohn, which then is the fact to be told.
        recipe = Recipe.from_json(content["recipe"], path, mend)
    if missing:
        raise DamagedFile(
            f"{path} is damaged: expected recipe, provenance and probe, found {', '.join(content) or 'nothing'}; {mend}"
        )
    try:
        return Begun(recipe, dict(content["provenance"]), Probe.from_json(content["probe"]))
    except (TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is damaged: expected a probe of numbers, found {error}; {mend}") from error
