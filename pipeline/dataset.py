"""From a folder or a table to a data set: which one, what it is called, the key of every file, the rows."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event

from ..cache.errors import DamagedFile
from ..cache.index import FileIndex, Hashed, hash_file
from ..cache.part import Key
from ..cache.store import FeatureStore
from ..cache.table import Dataset, Origin, Row, Skipped
from .errors import DatasetClash, InvalidRequest, NoImages
from .examples import conflicting_keys
from .labelling import AS_USUAL, Labelling
from .layout import Listing
from .splits import assign_splits
from .tables import is_table


def choose_source(images: Path | None, store: FeatureStore, name: str | None) -> tuple[Path, str]:
    """Return the folder or the table of pictures, and the name of its data set.

    Without `images`, it is the data set that the store knows, else `./images`, else `./data`.

    Raises
    ------
    NoImages
        No folder is named and none is found.
    InvalidRequest
        The name cannot be a file name.
    DatasetClash
        The name belongs to another folder or table that is still there.
    """
    known = store.dataset_names()
    if images is None:
        if known:
            # One is known by this name, or is the only one; else the error lists them.
            dataset = store.find_dataset(name)
            return _source_of(dataset.origin), dataset.name
        images = next((Path(guess) for guess in ("images", "data") if Path(guess).is_dir()), None)
        if images is None:
            raise NoImages(
                "no folder of pictures is named, the store knows no data set, and there is no ./images or ./data: "
                "name the folder, as in extract-features photos/"
            )
    source = images.expanduser().resolve()
    # Several tables may lie in one folder, each a data set of its own.
    name = name or (source.stem if is_table(source) else source.name)
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise InvalidRequest(f"a data set cannot be called {name!r}: choose a plain name with --dataset NAME")
    earlier = store.dataset_origin(name)
    if earlier is not None and _source_of(earlier) != source and _source_of(earlier).exists():
        raise DatasetClash(
            f"the data set {name} of {store.folder} is {_source_of(earlier)}, not {source}: "
            "choose another name with --dataset NAME, or another store with --store DIR"
        )
    return source, name


def settle_choices(
    store: FeatureStore, name: str, *, seed: int | None, labelling: Labelling | None
) -> tuple[int, Labelling, list[str]]:
    """Return seed and settings: what is asked for, else what the data set has, else the usual.

    The third is what should be said where they are not what they were.

    Raises
    ------
    DamagedFile
        The data set keeps other settings than these.
    """
    origin = store.dataset_origin(name)
    if origin is None:
        return seed or 0, (labelling or AS_USUAL).over(AS_USUAL), []
    try:
        earlier = Labelling.from_json(origin.labelling)
    except (InvalidRequest, TypeError) as error:
        raise DamagedFile(
            f"datasets/{name}.json is damaged: expected settings of labels and splits, found {error}; remove it and "
            f"run extract-features {_source_of(origin)} --dataset {name}, nothing is extracted twice"
        ) from error
    now = (labelling or AS_USUAL).over(earlier)
    seed = origin.seed if seed is None else seed
    changes = now.changes_from(earlier)
    if seed != origin.seed:
        changes.append(f"--seed {seed} (before: {origin.seed})")
    if not changes:
        return seed, now, []
    said = f"the data set {name} changes, and heads that were trained before count as outdated: {'; '.join(changes)}"
    return seed, now, [said]


_AT_ONCE = 64
"""Files that a thread hashes before it takes the next ones."""
FoundKeys = tuple[dict[str, Key], list[Skipped], list[Hashed]]
"""The key of every file that can be read by its path, the others with their reasons, and what to remember."""


@contextmanager
def finding_keys(listing: Listing, index: FileIndex) -> Iterator[Future[FoundKeys]]:
    """Give what is to be the keys of all files, found by another thread; where the block ends early, no more is read.

    A file that has not changed since the index saw it is not read.
    """
    ended = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="keys") as thread:
        try:
            yield thread.submit(_find_keys, listing, index, ended)
        finally:
            ended.set()


def _find_keys(listing: Listing, index: FileIndex, ended: Event) -> FoundKeys:
    # Text, since there may be a million, and paths are slow; a table may name whole paths.
    paths = {os.path.join(listing.root, found.path.replace("/", os.sep)): found.path for found in listing.files}
    keys, skipped, remembered = find_keys(paths, index, ended)
    return (
        {paths[path]: key for path, key in keys.items()},
        [Skipped(paths[each.path], each.reason) for each in skipped],
        remembered,
    )


def find_keys(paths: Collection[str], index: FileIndex, ended: Event | None = None) -> FoundKeys:
    """Return what is known of some files, and hash the others; fewer once it has ended and nobody asks any more."""
    keys = index.recall(paths)
    unknown = [path for path in paths if path not in keys]
    skipped, remembered = [], []
    for path, outcome in zip(unknown, _hash_all(unknown, ended or Event()), strict=False):
        if isinstance(outcome, str):
            skipped.append(Skipped(path, outcome))
        else:
            keys[path] = outcome.key
            remembered.append(outcome)
    return keys, skipped, remembered


def build_dataset(
    name: str,
    listing: Listing,
    keys: Mapping[str, Key],
    *,
    seed: int,
    unreadable: Collection[Key] = (),
    skipped: Sequence[Skipped] = (),
) -> Dataset:
    """Return the data set of a listing; files without a key are left out.

    Parameters
    ----------
    name : str
    listing : Listing
    keys : mapping of path to Key
    seed : int
        Of the hashed splits.
    unreadable : collection of Key
        Pictures that cannot be decoded.
    skipped : sequence of Skipped
        Files without a key, and why.

    Raises
    ------
    NoImages
        No file has a key.
    """
    files = [found for found in listing.files if found.path in keys]
    if not files:
        raise NoImages(f"none of the {len(listing.files)} pictures in {listing.root} can be read: check permissions")
    labelling = listing.labelling
    rows, notes = assign_splits(
        [Row(found.path, keys[found.path], found.label, found.split or "", found.group) for found in files],
        seed=seed,
        shares=labelling.shares,
        limit=labelling.limit or 0,
        unreadable=unreadable,
    )
    conflicting = conflicting_keys(rows)
    if conflicting:
        count = sum(row.key in conflicting for row in rows)
        notes.append(f"files whose bytes lie under two labels, left out of training: {count:,}")
    origin = Origin(listing.root, seed, listing.table, labelling.to_json())
    return Dataset(name, origin, listing.layout, tuple(rows), (*listing.notes, *notes), tuple(skipped))


def _source_of(origin: Origin) -> Path:
    return origin.root / origin.table if origin.table else origin.root


def _hash_all(paths: Sequence[str], ended: Event) -> list[Hashed | str]:
    """Return what each file hashes to, or why it cannot be read."""
    if not paths:
        return []
    # Here, since where all is known nothing has need of it.
    from joblib import cpu_count

    some = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="hash") as threads:
        return list(chain.from_iterable(threads.map(partial(_hash_some, ended=ended), some)))


def _hash_some(paths: Sequence[str], ended: Event) -> list[Hashed | str]:
    return [_hash(Path(path)) for path in paths if not ended.is_set()]


def _hash(path: Path) -> Hashed | str:
    try:
        return hash_file(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
