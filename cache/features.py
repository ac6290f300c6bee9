"""One feature set: the rows of one recipe, read and written by key.

    <backbone>-<digest>/recipe.json   the recipe and the provenance
    <backbone>-<digest>/parts/*.h5    the rows (see `part`)
    <backbone>-<digest>/features.h5   the same rows as one file, for any HDF5 reader (see `virtual`)

A part that another one supersedes is ignored, so that a merge becomes visible in one rename and
a reader never sees a row missing. A row in two parts counts once.
"""

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import DamagedFile, MissingFeatures, StoreNotWritable
from .files import read_json, remove_leftovers, write_json
from .part import SUFFIX, Key, Part, keys_from_array, keys_to_array, open_part, read_rows, write_part
from .recipe import Recipe
from .virtual import count_mappings, is_current, write_virtual

COMMIT_ROWS = 512
COMMIT_SECONDS = 2.0
KEEP_SUPERSEDED_SECONDS = 24 * 3600
MAX_MAPPINGS = 1024
MERGE_AT_ONCE = 64
PART_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done for some images; pure arithmetic of keys."""

    missing: tuple[Key, ...]
    """Wanted, not there: to be extracted, in the order asked."""
    present: tuple[Key, ...]
    """Wanted and there."""
    refused: tuple[Key, ...]
    """Wanted, but known to be unreadable."""


def plan_extraction(wanted: Iterable[Key], present: Iterable[Key], refused: Iterable[Key] = ()) -> Plan:
    """Return what is missing, present and refused among the wanted keys, each once.

    >>> plan_extraction([b"b", b"a", b"b", b"c"], present=[b"a"], refused=[b"c"])
    Plan(missing=(b'b',), present=(b'a',), refused=(b'c',))
    """
    there, unreadable = set(present), set(refused)
    unique = dict.fromkeys(wanted)
    return Plan(
        missing=tuple(key for key in unique if key not in there and key not in unreadable),
        present=tuple(key for key in unique if key in there),
        refused=tuple(key for key in unique if key in unreadable and key not in there),
    )


class FeatureSet:
    """The features of one recipe in one folder of the store."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the feature set that lies in a folder."""
        path = folder / "recipe.json"
        return cls(folder, Recipe.from_json(_read_begun(path)["recipe"], str(path)))

    @property
    def digest(self) -> str:
        """Digest of the recipe."""
        return self.recipe.digest

    @property
    def path(self) -> Path:
        """The file `features.h5`, which shows all rows to any HDF5 reader."""
        return self.folder / "features.h5"

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the rows and is not part of the recipe: versions, machine, engine, batch size, date."""
        path = self.folder / "recipe.json"
        return dict(_read_begun(path)["provenance"]) if path.exists() else {}

    def begin(self, provenance: dict[str, Any]) -> dict[str, Any]:
        """Write recipe.json unless it is there; return the provenance that counts, the first one."""
        path = self.folder / "recipe.json"
        if not path.exists():
            write_json(path, {"recipe": self.recipe.to_json(), "provenance": provenance})
        return self.provenance

    def parts(self) -> list[Part]:
        """Return the parts that count, in the order of their names; superseded ones are left out."""
        for _ in range(8):
            try:
                found = [open_part(path, self.digest) for path in sorted(self._parts_folder.glob(f"*{SUFFIX}"))]
            except FileNotFoundError:
                # Another process pruned a part between the listing and the opening: its rows are in
                # a newer part, which a new listing shows.
                continue
            superseded = frozenset().union(*(part.supersedes for part in found))
            return [part for part in found if part.path.name not in superseded]
        raise MissingFeatures(f"{self._parts_folder} keeps changing: expected it to settle; try again")

    def keys(self) -> set[Key]:
        """Return the keys of all rows."""
        return {key for part in self.parts() for key in keys_from_array(part.keys)}

    @property
    def width(self) -> int:
        """Number of features per row; 0 where there is no row yet."""
        return next((part.width for part in self.parts()), 0)

    def read(self, keys: Sequence[Key]) -> NDArray[np.float32]:
        """Return the features of some images, in the order asked.

        Each part is read once, front to back, in blocks; memory is the result and one block.

        Parameters
        ----------
        keys : sequence of Key, length n
            Content keys of the images; a key may repeat.

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
        for _ in range(8):
            parts = self.parts()
            try:
                return self._gather(parts, keys_to_array(keys))
            except FileNotFoundError:
                continue
        raise MissingFeatures(f"{self._parts_folder} keeps changing: expected it to settle; try again")

    def writer(self) -> "FeatureWriter":
        """Return a context in which rows can be added."""
        return FeatureWriter(self)

    def merge(self, names: Iterable[str]) -> None:
        """Merge some of the parts and bring features.h5 up to date.

        Where the rows of the remaining parts interleave too finely for a quick features.h5, all
        parts are merged. Parts superseded for more than a day are deleted; younger ones stay, for
        whoever reads them now.
        """
        remove_leftovers(self._parts_folder)
        wanted = set(names)
        between = self._merge([part for part in self.parts() if part.path.name in wanted])
        current = self.parts()
        if count_mappings(current) > MAX_MAPPINGS:
            between += self._merge(current)
        # First the view that no longer names them, then their end.
        self.refresh()
        for part in between:
            part.path.unlink(missing_ok=True)
        self._delete_superseded(self.parts())

    def refresh(self) -> None:
        """Write features.h5 unless it shows just the parts that count."""
        current = self.parts()
        if current and not is_current(self.path, current):
            write_virtual(self.path, current)

    def has_parts(self) -> bool:
        """Return whether there is any part, without opening one."""
        return any(self._parts_folder.glob(f"*{SUFFIX}"))

    def commit(self, keys: Sequence[Key], rows: NDArray[np.float32]) -> str:
        """Write some rows as one part, durably, and return the part's file name."""
        array = keys_to_array(keys)
        unique, first = np.unique(array, return_index=True)
        return write_part(self._parts_folder, unique, rows[first], recipe=self.digest).name

    @property
    def _parts_folder(self) -> Path:
        return self.folder / "parts"

    def _merge(self, parts: list[Part]) -> list[Part]:
        """Merge parts; return those that were only written on the way, which nobody needs any more."""
        if len(parts) < 2:
            return []
        if len(parts) <= MERGE_AT_ONCE:
            self._replace(parts)
            return []
        # In two steps, since every part written needs rows from all the parts that it is merged from.
        groups = [parts[start : start + MERGE_AT_ONCE] for start in range(0, len(parts), MERGE_AT_ONCE)]
        between = [part for group in groups for part in self._replace(group)]
        self._replace(between)
        return between

    def _replace(self, parts: Sequence[Part]) -> list[Part]:
        """Write the rows of some parts as parts of limited size, each a range of keys."""
        keys = np.unique(np.concatenate([part.keys for part in parts]))
        step = max(1, PART_BYTES // (4 * parts[0].width))
        names = {part.path.name for part in parts}
        inherited = frozenset().union(*(part.supersedes for part in parts))
        gone = names | {name for name in inherited if (self._parts_folder / name).exists()}
        paths = []
        for start in range(0, len(keys), step):
            chosen = keys[start : start + step]
            # Only the last one makes the old parts obsolete: until it is there, both count.
            last = start + step >= len(keys)
            rows = self._gather(parts, chosen)
            paths.append(
                write_part(self._parts_folder, chosen, rows, recipe=self.digest, supersedes=gone if last else ())
            )
        return [open_part(path, self.digest) for path in paths]

    def _delete_superseded(self, current: Sequence[Part]) -> None:
        now = time.time()
        for part in current:
            if now - part.path.stat().st_mtime > KEEP_SUPERSEDED_SECONDS:
                for name in part.supersedes:
                    (self._parts_folder / name).unlink(missing_ok=True)

    def _gather(self, parts: Sequence[Part], wanted: NDArray[np.bytes_]) -> NDArray[np.float32]:
        found = np.zeros(len(wanted), dtype=bool)
        rows = np.empty((len(wanted), parts[0].width if parts else 0), dtype=np.float32)
        for part in parts:
            position = np.searchsorted(part.keys, wanted)
            position[position == len(part.keys)] = 0
            here = np.flatnonzero(~found & (part.keys[position] == wanted))
            here = here[np.argsort(position[here], kind="stable")]
            for which, block in read_rows(part, position[here]):
                rows[here[which]] = block
            found[here] = True
        if not found.all():
            first = wanted[np.flatnonzero(~found)[0] :][:1].tobytes().hex()
            raise MissingFeatures(
                f"{np.count_nonzero(~found):,} of {len(wanted):,} images have no features of {self.recipe.backbone} "
                f"yet (the first is {first[:12]}): run {self._command()}"
            )
        return rows

    def _command(self) -> str:
        """Return the command that adds rows to this set."""
        weights = self.provenance.get("weights", "imagenet")
        chosen = [] if weights == "imagenet" else ["--weights", weights]
        store = self.folder.parent.parent
        return shlex.join(["extract-features", "--backbone", self.recipe.backbone, *chosen, "--store", str(store)])


class FeatureWriter:
    """Adds rows to a feature set: committed every 512 rows or 2 seconds, and whenever it is left.

    Whether the block ends well, with an error or with an interrupt, rows that were added are
    committed. A block that ends well also merges its parts.
    """

    def __init__(self, features: FeatureSet, clock: Callable[[], float] = time.monotonic) -> None:
        self._features = features
        self._clock = clock
        self._keys: list[Key] = []
        self._rows: list[NDArray[np.float32]] = []
        self._names: list[str] = []
        self._last = clock()

    def __enter__(self) -> Self:
        return self

    def add(self, keys: Sequence[Key], rows: NDArray[np.float32]) -> None:
        """Add rows of shape (b, d), float32, one per key; finite, or the set would be poisoned.

        Raises
        ------
        ValueError
            Not one row per key, or a value is not finite.
        StoreNotWritable
            A commit did not succeed; what was committed before is intact.
        """
        # A copy, since the caller may use its array again before the commit.
        rows = np.array(rows, dtype=np.float32)
        if len(keys) != len(rows):
            raise ValueError(f"expected one row per key, found {len(keys)} keys and {len(rows)} rows")
        if not np.isfinite(rows).all():
            raise ValueError("features must be finite, found NaN or infinity")
        self._keys.extend(keys)
        self._rows.append(rows)
        if len(self._keys) >= COMMIT_ROWS or self._clock() - self._last >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make the rows added so far durable."""
        if self._keys:
            self._names.append(self._features.commit(self._keys, np.concatenate(self._rows)))
            self._keys, self._rows = [], []
        self._last = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreNotWritable):
            return
        self.commit()
        if error is None:
            self._features.merge(self._names)


def _read_begun(path: Path) -> dict[str, Any]:
    begun = read_json(path)
    if not isinstance(begun.get("recipe"), dict) or not isinstance(begun.get("provenance"), dict):
        raise DamagedFile(
            f"{path} is damaged: expected recipe and provenance, found {', '.join(begun) or 'nothing'}; "
            f"remove the folder {path.parent} and run extract-features again"
        )
    return begun
