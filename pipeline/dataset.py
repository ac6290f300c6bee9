"""From a folder to a data set: keys, labels, splits; and from a data set to what may be learned from.

The table has a row per file. Learning uses one row per key: bytes that lie under two labels are
left out and listed, and a picture that lies in several splits counts in the last of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from joblib import Parallel, cpu_count, delayed

from ..cache.index import FileIndex, Hashed, hash_file
from ..cache.part import Key
from ..cache.store import FeatureStore
from ..cache.table import Dataset, Row
from .errors import DatasetClash, InvalidRequest, NoImages
from .layout import Listing, Skipped
from .splits import assign_splits


@dataclass(frozen=True, slots=True)
class Examples:
    """The pictures of a data set that may be learned from, one row per key."""

    rows: tuple[Row, ...]
    """In the order of the paths."""
    conflicting: tuple[str, ...]
    """Paths whose bytes lie under two labels; left out."""


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
        if name in known or (name is None and known):
            dataset = store.find_dataset(name)
            return dataset.root, dataset.name
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
    if name in known:
        earlier = store.find_dataset(name).root
        if earlier != root and earlier.is_dir():
            raise DatasetClash(
                f"the data set {name} of {store.folder} is {earlier}, not {root}: "
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


def build_dataset(name: str, listing: Listing, keys: Mapping[str, Key], *, seed: int) -> Dataset:
    """Return the data set of a listing; files without a key are left out.

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
    )
    rows = tuple(
        Row(found.path, keys[found.path], found.label, split or "") for found, split in zip(files, splits, strict=True)
    )
    dataset = Dataset(name, listing.root, listing.layout, seed, rows)
    conflicting = select_examples(dataset).conflicting
    if conflicting:
        notes.append(f"{len(conflicting):,} files have bytes that lie under two labels: left out of training")
    return Dataset(name, listing.root, listing.layout, seed, rows, (*listing.notes, *notes))


def select_examples(dataset: Dataset, refused: Sequence[Key] = ()) -> Examples:
    """Return one labelled row per key, without those that are refused or lie under two labels."""
    labels: dict[Key, set[str]] = {}
    for row in dataset.rows:
        if row.label:
            labels.setdefault(row.key, set()).add(row.label)
    seen = set(refused)
    rows, conflicting = [], []
    for row in dataset.rows:
        if not row.label:
            continue
        if len(labels[row.key]) > 1:
            conflicting.append(row.path)
        elif row.key not in seen:
            seen.add(row.key)
            rows.append(row)
    return Examples(tuple(rows), tuple(conflicting))


def _hash(path: Path) -> Hashed | str:
    try:
        return hash_file(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
