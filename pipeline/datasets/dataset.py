"""From a folder or a table to a data set: which one, what it is called, the key of every file, the rows."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event

from ...cache.errors import DamagedFile
from ...cache.index import FileIndex, Hashed, Stamp, hash_bytes, hash_file
from ...cache.part import Key
from ...cache.places import Place, is_url, name_of, place_within
from ...cache.remedies import extraction
from ...cache.store import FeatureStore
from ...cache.table import Dataset, Origin, Row, Skipped
from ..errors import DatasetClash, InvalidRequest, NoImages, UnreadableImage
from ..pictures.sources import Patience, at_once, read_file, stamp_urls, why_unreadable
from .examples import conflicting_keys
from .labelling import AS_USUAL, Labelling
from .layout import Listing
from .splits import assign_splits
from .tables import is_table


def choose_source(images: Place | None, store: FeatureStore, name: str | None) -> tuple[Place, str]:
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
            return dataset.origin.source, dataset.name
        images = next((Path(guess) for guess in ("images", "data") if Path(guess).is_dir()), None)
        if images is None:
            raise NoImages(
                "no folder of pictures is named, the store knows no data set, and there is no ./images or ./data: "
                "name the folder, as in extract-features photos/"
            )
    source = images if isinstance(images, str) else images.expanduser().resolve()
    # Several tables may lie in one folder, each a data set of its own.
    name = name or (Path(name_of(source)).stem if is_table(source) else name_of(source))
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise InvalidRequest(f"a data set cannot be called {name!r}: choose a plain name with --dataset NAME")
    earlier = store.dataset_origin(name)
    if earlier is not None and earlier.source != source and _is_there(earlier.source):
        raise DatasetClash(
            f"the data set {name} of {store.folder} is {earlier.source}, not {source}: "
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
            f"run {extraction(origin.source, name, store.folder)}, nothing is extracted twice"
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


_ANY = "utf-8", "surrogateescape"
_AT_ONCE = 64
"""Files that a thread hashes before it takes the next ones."""


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys of the files of a listing."""

    keys: dict[str, Key]
    """By path, of every file that can be read; of one that is `unread` a stand-in."""
    skipped: list[Skipped]
    """The others, with their reasons."""
    hashed: list[Hashed]
    """What the index does not know yet."""
    unread: frozenset[str] = frozenset()
    """Paths of what lies elsewhere and was never read in this state: it is read but once, when it is decoded."""
    objects: dict[str, tuple[Stamp, Key]] = field(default_factory=dict)
    """What the index does not know yet of what lies elsewhere, by URL."""


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
    found = _find_keys_here(listing, index, ended)
    if not listing.stamps:
        return found
    places = {str(place_within(listing.root, path)): path for path in listing.stamps}
    stamps = {url: listing.stamps[path] for url, path in places.items()}
    known = index.recall_objects(stamps)
    found.keys.update({places[url]: key for url, key in known.items()})
    unknown = [url for url in places if url not in known]
    if not listing.labelling.limit:
        # A hash of where it lies and of its state stands in for the key, until the bytes are there.
        found.keys.update({places[url]: hash_bytes(f"{url} {stamps[url].mark}".encode(*_ANY)) for url in unknown})
        return replace(found, unread=frozenset(places[url] for url in unknown))
    # Which pictures are in a sample only their keys tell.
    read, reasons = hash_elsewhere(unknown, ended)
    found.skipped.extend(Skipped(places[url], reason) for url, reason in reasons.items())
    found.keys.update({places[url]: key for url, key in read.items()})
    found.objects.update({url: (stamps[url], key) for url, key in read.items()})
    return found


def _find_keys_here(listing: Listing, index: FileIndex, ended: Event) -> FoundKeys:
    if isinstance(listing.root, str):
        return FoundKeys({}, [], [])
    # Text, since there may be a million, and paths are slow; a table may name whole paths.
    paths = {
        os.path.join(listing.root, found.path.replace("/", os.sep)): found.path
        for found in listing.files
        if found.path not in listing.stamps
    }
    found = find_keys(paths, index, ended)
    return FoundKeys(
        {paths[path]: key for path, key in found.keys.items()},
        [Skipped(paths[each.path], each.reason) for each in found.skipped],
        found.hashed,
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
    return FoundKeys(keys, skipped, remembered)


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


def _is_there(source: Place) -> bool:
    # What lies elsewhere is not asked; it hardly moves without its name.
    return isinstance(source, str) or source.exists()


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


def find_keys_anywhere(paths: Collection[str], index: FileIndex) -> FoundKeys:
    """Return what is known of some files, here or by URL, and read the others."""
    found = find_keys([path for path in paths if not is_url(path)], index)
    stamps = stamp_urls(filter(is_url, paths))
    there = {url: stamp for url, stamp in stamps.items() if isinstance(stamp, Stamp)}
    known = index.recall_objects(there)
    read, reasons = hash_elsewhere([url for url in there if url not in known], Event())
    reasons.update({url: stamp for url, stamp in stamps.items() if isinstance(stamp, str)})
    found.keys.update({**known, **read})
    found.skipped.extend(Skipped(url, reason) for url, reason in reasons.items())
    found.objects.update({url: (there[url], key) for url, key in read.items()})
    return found


def hash_elsewhere(urls: Sequence[str], ended: Event) -> tuple[dict[str, Key], dict[str, str]]:
    """Return the keys of what lies elsewhere, and of the rest why it cannot be read.

    Raises
    ------
    Unreachable
        Many in a row cannot be reached.
    """
    keys, reasons, patience = {}, {}, Patience()
    for url, outcome in zip(urls, at_once(partial(_hash_url, ended=ended), urls), strict=True):
        patience.note(outcome if isinstance(outcome, str) else "")
        if isinstance(outcome, str):
            reasons[url] = outcome
        else:
            keys[url] = outcome
    return keys, reasons


def _hash_url(url: str, ended: Event) -> Key | str:
    if ended.is_set():
        return "not asked for any more"
    try:
        return hash_bytes(read_file(url))
    except (OSError, UnreadableImage) as error:
        return why_unreadable(error)


def _hash(path: Path) -> Hashed | str:
    try:
        return hash_file(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
