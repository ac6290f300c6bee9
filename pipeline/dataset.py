"""From a folder to a data set: which folder, what it is called, the key of every file, the table."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from joblib import Parallel, cpu_count, delayed

from ..cache.index import FileIndex, Hashed, hash_file
from ..cache.part import Key
from ..cache.store import FeatureStore
from ..cache.table import Dataset, Origin, Row, Skipped
from .errors import DatasetClash, InvalidRequest, NoImages
from .examples import conflicting_keys
from .layout import Listing
from .splits import assign_splits


def choose_root(images: Path | None, store: FeatureStore, name: str | None) -> tuple[Path, str]:
    """Return the folder of pictures and the name of its data set.

    Without `images`, it is the data set that the store knows, else `./images`, else `./data`.

    Raises
    ------
    NoImages
        No folder is named and none is found.
    InvalidRequest
        The name cannot be a file name.
    DatasetClash
        The name belongs to another folder that is still there.
    """
    known = store.dataset_names()
    if images is None:
        if known:
            # One is known by this name, or is the only one; else the error lists them.
            dataset = store.find_dataset(name)
            return dataset.origin.root, dataset.name
        images = next((Path(guess) for guess in ("images", "data") if Path(guess).is_dir()), None)
        if images is None:
            raise NoImages(
                "no folder of pictures is named, the store knows no data set, and there is no ./images or ./data: "
                "name the folder, as in extract-features photos/"
            )
    root = images.expanduser().resolve()
    name = name or root.name
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise InvalidRequest(f"a data set cannot be called {name!r}: choose a plain name with --dataset NAME")
    earlier = store.dataset_origin(name)
    if earlier is not None and earlier.root != root and earlier.root.is_dir():
        raise DatasetClash(
            f"the data set {name} of {store.folder} is {earlier.root}, not {root}: "
            "choose another name with --dataset NAME, or another store with --store DIR"
        )
    return root, name


def find_keys(listing: Listing, index: FileIndex) -> tuple[dict[str, Key], list[Skipped], list[Hashed]]:
    """Return the key of every file that can be read, the others with their reasons, and what to remember.

    A file that has not changed since the index saw it is not read.
    """
    paths = {listing.root / found.path: found.path for found in listing.files}
    known = index.recall(paths)
    keys = {paths[path]: key for path, key in known.items()}
    unknown = [path for path in paths if path not in known]
    hashed = Parallel(n_jobs=cpu_count(), prefer="threads")(delayed(_hash)(path) for path in unknown)
    skipped, remembered = [], []
    for path, outcome in zip(unknown, hashed, strict=True):
        if isinstance(outcome, str):
            skipped.append(Skipped(paths[path], outcome))
        else:
            keys[paths[path]] = outcome.key
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
    splits, notes = assign_splits(
        [keys[found.path] for found in files],
        [found.label for found in files],
        [found.split for found in files],
        seed=seed,
        unreadable=unreadable,
    )
    rows = tuple(
        Row(found.path, keys[found.path], found.label, split or "") for found, split in zip(files, splits, strict=True)
    )
    conflicting = conflicting_keys(rows)
    if conflicting:
        count = sum(row.key in conflicting for row in rows)
        notes.append(f"files whose bytes lie under two labels, left out of training: {count:,}")
    return Dataset(name, Origin(listing.root, seed), listing.layout, rows, (*listing.notes, *notes), tuple(skipped))


def _hash(path: Path) -> Hashed | str:
    try:
        return hash_file(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
