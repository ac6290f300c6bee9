"""What a head may learn from: one row per picture, labelled, readable, of a class that can be learned.

The same choice decides whether a run is up to date: its digest is of these rows, so that a broken
file or a loose picture more in the folder makes no run outdated.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ...cache.part import Key
from ...cache.store import FeatureStore
from ...cache.table import SPLITS, Dataset, Origin, Row
from ..errors import NotTrainable
from ..pictures import images
from ..pictures.images import ReadingPolicy
from .labels import Found, offer_pattern


@dataclass(frozen=True, slots=True)
class Examples:
    """What a head learns from and is judged by, ordered by split and then by key."""

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.int32]:
        """(n,) position of each row's class."""
        position = {label: index for index, label in enumerate(self.classes)}
        return np.array([position[row.label] for row in self.rows], dtype=np.int32)

    @property
    def splits(self) -> NDArray[np.uint8]:
        """(n,) position of each row's split in `SPLITS`, ascending."""
        return np.array([SPLITS.index(row.split) for row in self.rows], dtype=np.uint8)

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """(n,) a number for each group, and for each picture without one; None where nothing is grouped."""
        if not any(row.group for row in self.rows):
            return None
        names = [row.group or f"\0{row.key.hex()}" for row in self.rows]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    @property
    def digest(self) -> str:
        """SHA-256 over key, split and label of all rows."""
        lines = "".join(f"{row.key.hex()} {row.split} {row.label}\n" for row in self.rows)
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def choose_examples(table: Dataset, there: Callable[[], Collection[Key]], store: FeatureStore) -> Examples:
    """Return the rows of a data set that a head may learn from; `there` gives the keys that have features.

    Raises
    ------
    NotTrainable
        Fewer than two classes have training pictures that can be read.
    """
    unreadable = set(refusals_that_hold(store))
    if unreadable:
        unreadable -= set(there())
    conflicting = conflicting_keys(table.rows)
    rows: dict[Key, Row] = {}
    left_out: Counter[str] = Counter()
    for row in table.rows:
        if not row.label:
            continue
        if row.key in conflicting:
            left_out["their bytes lie under two labels"] += 1
        elif row.key in unreadable:
            left_out["they cannot be read"] += 1
        else:
            rows.setdefault(row.key, row)
    classes = tuple(sorted({row.label for row in rows.values() if row.split == "train"}))
    check_classes(table.name, table.origin, table.rows, classes, left_out)
    warnings = [f"left out, since {reason}: {count:,} files" for reason, count in left_out.items()]
    if without := sorted({row.label for row in rows.values()} - set(classes)):
        warnings.append(f"left out, since no training picture can be read: {', '.join(without)}")
    # By key within a split, so that renamed files change nothing.
    chosen = sorted(
        (row for row in rows.values() if row.label in classes), key=lambda row: (SPLITS.index(row.split), row.key)
    )
    return Examples(tuple(chosen), classes, tuple(warnings))


def check_classes(
    name: str,
    origin: Origin,
    pictures: Sequence[Row | Found],
    classes: Sequence[str],
    left_out: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Raise where heads would have nothing to tell apart.

    Parameters
    ----------
    name, origin : str, Origin
        Of the data set.
    pictures : sequence of Row or Found
        All of them.
    classes : sequence of str
        That have training pictures.
    left_out : mapping of str to int
        How many files were, by the reason.

    Raises
    ------
    NotTrainable
        There are fewer than two classes.
    """
    if len(classes) >= 2:
        return
    # Another remedy, where the names of the pictures seem to carry labels.
    offer = offer_pattern(each.path for each in pictures)
    again = f"and extract again, nothing is extracted twice{f'; or {offer}' if offer else ''}"
    if not any(each.label for each in pictures):
        raise NotTrainable(f"the data set {name} has no labels: {_expected(origin)} {again}")
    found = f"one ({classes[0]})" if classes else "none"
    reasons = "".join(f", and {count:,} files left out since {reason}" for reason, count in left_out.items())
    raise NotTrainable(
        f"expected at least two classes with training pictures in the data set {name}, found {found}{reasons}: "
        f"add pictures of another class {again}"
    )


def _expected(origin: Origin) -> str:
    """Return where labels were expected, and how to put them there."""
    if origin.table:
        return f"expected some in the column label of {origin.source}, found empty cells; fill them"
    return f"expected class folders such as {origin.root}/cats/1.jpg; sort the pictures into folders"


def conflicting_keys(rows: Iterable[Row]) -> set[Key]:
    """Return the keys of bytes that lie under two labels."""
    labels: dict[Key, str] = {}
    return {row.key for row in rows if row.label and labels.setdefault(row.key, row.label) != row.label}


def refusals_that_hold(store: FeatureStore, reading: ReadingPolicy | None = None) -> dict[Key, str]:
    """Return key and reason of pictures that this decoder has refused before.

    Only those refused under the policy `reading` count; without one, those under any policy.
    """
    decoder = images.decoder_version()
    return {
        each.key: each.reason
        for each in store.refusals()
        if each.decoder == decoder and (reading is None or each.policy == reading.outcome)
    }
