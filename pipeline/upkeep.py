"""Care of the store: what is in it, is it sound, and what may go.

Each function is one of the commands `demijohn cache ...`. They go over feature sets chosen by
backbone or digest, or over all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..cache.errors import CacheError, DamagedFile, NothingLeft, UnknownFeatures
from ..cache.export import SUFFIXES, Exported, export_features
from ..cache.features import FeatureSet
from ..cache.files import PARTIAL, partial_name, remove, remove_leftovers, writing_errors
from ..cache.merging import merge_parts, prune_rows
from ..cache.part import Key
from ..cache.recipe import differences
from ..cache.store import FeatureStore
from ..cache.verification import Verification, repair_features, verify_features
from .errors import InvalidRequest
from .progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Holding:
    """One folder of features, as `cache list` shows it."""

    name: str
    """Of the folder: backbone and the first digits of the digest."""
    backbone: str
    digest: str
    rows: int
    width: int
    parts: int
    bytes: int
    """On disk, with superseded parts."""
    last_use: str | None
    """When rows were last asked for or added, ISO 8601 in UTC."""
    differences: tuple[str, ...]
    """From the set of this backbone that was used last, as `field: there -> here`."""
    problem: str | None
    """Why it cannot be read; None where it can."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in _fields(self).items()}


@dataclass(frozen=True, slots=True)
class Verified:
    """One folder of features, as `cache verify` found it."""

    name: str
    verification: Verification
    repaired: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = self.verification
        return {
            "features": self.name,
            "parts": found.parts,
            "rows": found.rows,
            "bytes": found.bytes,
            "damaged": [{"path": str(each.path), "reason": each.reason} for each in found.damaged],
            "repaired": self.repaired,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a care of one feature set changed."""

    name: str
    rows: int
    """That went."""
    bytes: int
    """That were freed on disk; negative where superseded parts stay for a day."""
    done: bool
    """False where another process was merging."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"features": self.name, "rows": self.rows, "bytes": self.bytes, "done": self.done}


def list_features(*, store: str | Path = "bottlenecks") -> list[Holding]:
    """Return what features a store holds, the last used first."""
    kept = FeatureStore(store)
    found = kept.survey()
    readable = sorted(
        (features for _, features in found if isinstance(features, FeatureSet)),
        key=lambda features: -(features.last_use or 0),
    )
    first = {features.recipe.backbone: features for features in reversed(readable)}
    holdings = [_holding(features, first[features.recipe.backbone]) for features in readable]
    for folder, error in found:
        if isinstance(error, CacheError):
            backbone, _, digest = folder.name.rpartition("-")
            size = _size(folder)
            holdings.append(Holding(folder.name, backbone, digest, 0, 0, 0, size, None, (), str(error)))
    return holdings


def verify_cache(
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    repair: bool = False,
    progress: Progress = SILENT,
) -> list[Verified]:
    """Read and check every row of the chosen feature sets; with `repair`, take damaged parts out of use.

    See `check_verified` for the error that damage is.

    Raises
    ------
    UnknownFeatures
        Nothing fits.
    """
    verified = []
    for folder in choose_folders(FeatureStore(store), backbone, features):
        progress.say(f"reading {folder.name}")
        found = verify_features(folder)
        if found.damaged and repair:
            repair_features(folder, found)
        verified.append(Verified(folder.name, found, bool(found.damaged) and repair))
    return verified


def check_verified(verified: Sequence[Verified]) -> None:
    """Raise if something is damaged and was not repaired.

    Raises
    ------
    DamagedFile
    """
    damaged = [damage for each in verified if not each.repaired for damage in each.verification.damaged]
    if damaged:
        raise DamagedFile(
            f"{len(damaged):,} damaged files, the first: {damaged[0].reason.partition(';')[0]}; demijohn cache verify "
            "--repair takes them out of use, and extract-features then makes their rows anew"
        )


def compact_cache(
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    progress: Progress = SILENT,
) -> list[Change]:
    """Merge the parts of the chosen feature sets; superseded ones stay for a day.

    Raises
    ------
    UnknownFeatures, DamagedFile, StoreNotWritable
        Nothing fits; a part is damaged; the disk is full or may not be written.
    """
    changes = []
    for each in _choose(FeatureStore(store), backbone, features):
        progress.say(f"merging the parts of {each.recipe.folder}")
        before = _size(each.folder)
        done = merge_parts(each)
        changes.append(Change(each.recipe.folder, 0, before - _size(each.folder), done))
    return changes


def prune_cache(
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    progress: Progress = SILENT,
) -> list[Change]:
    """Remove rows whose pictures are in no data set, superseded and damaged parts, and leftovers.

    Raises
    ------
    NothingLeft
        The store knows no data set, so that every row would go.
    UnknownFeatures, DamagedFile, StoreNotWritable
        See `compact_cache`; also where a data set cannot be read, since its rows would go.
    """
    kept = FeatureStore(store)
    chosen = _choose(kept, backbone, features)
    wanted: set[Key] = {row.key for name in kept.dataset_names() for row in kept.find_dataset(name).rows}
    if not wanted:
        raise NothingLeft(
            f"{kept.folder} knows no data set with pictures, so that every row would go: run extract-features on the "
            "folders that are to stay, or demijohn cache remove to remove whole feature sets"
        )
    remove_leftovers(kept.folder / "features")
    changes = []
    for each in chosen:
        progress.say(f"pruning {each.recipe.folder}")
        outcome = prune_rows(each, wanted)
        rows, size = outcome or (0, 0)
        changes.append(Change(each.recipe.folder, rows, size, outcome is not None))
    return changes


def remove_features(
    *, store: str | Path = "bottlenecks", backbone: str | None = None, features: str | None = None
) -> list[Change]:
    """Remove whole feature sets, readable or not; each vanishes at once, under a `.partial` name first.

    Raises
    ------
    InvalidRequest
        Neither backbone nor digest is named.
    UnknownFeatures
        Nothing fits.
    StoreNotWritable
        The store may not be written.
    """
    if not backbone and not features:
        raise InvalidRequest("expected which features to remove: name them with --backbone NAME or --features DIGEST")
    kept, changes = FeatureStore(store), []
    for folder in choose_folders(kept, backbone, features):
        size, rows = _size(folder), _rows(folder)
        with writing_errors(folder):
            gone = partial_name(folder)
            folder.rename(gone)
        remove(gone)
        changes.append(Change(folder.name, rows, size, done=True))
    remove_leftovers(kept.folder / "features")
    return changes


def export_cache(
    to: str | Path,
    *,
    store: str | Path = "bottlenecks",
    dataset: str | None = None,
    backbone: str | None = None,
    features: str | None = None,
) -> Exported:
    """Write features, keys, paths, labels, splits and groups of a data set into one file.

    Parameters
    ----------
    to : path
        Ends in .h5 or .npz.

    Raises
    ------
    InvalidRequest
        Another suffix, or a place within the store.
    UnknownFeatures, UnknownDataset, MissingFeatures, DamagedFile, StoreNotWritable
        See `export_features`.
    """
    path, kept = Path(to).expanduser(), FeatureStore(store)
    if path.suffix not in SUFFIXES:
        raise InvalidRequest(f"cannot write {path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if path.resolve().is_relative_to((kept.folder / "features").resolve()):
        raise InvalidRequest(f"cannot write {path}: it lies among the store's own files; choose another folder")
    return export_features(kept.find_feature_set(backbone, features), kept.find_dataset(dataset), path)


def choose_folders(store: FeatureStore, backbone: str | None, features: str | None) -> list[Path]:
    """Return the folders of features that fit, those that cannot be read among them.

    Raises
    ------
    UnknownFeatures
        Nothing fits.
    """
    folders = {folder.name: folder for folder, _ in store.survey()}
    return [folders[name] for name in choose_names(folders, str(store.folder), backbone, features)]


def choose_names(names: Iterable[str], where: str, backbone: str | None, features: str | None) -> list[str]:
    """Return the names of folders of features that fit; `where` they are, errors say.

    Raises
    ------
    UnknownFeatures
        None fits.
    """
    every = list(names)
    fitting = [
        name
        for name in every
        if backbone in (None, name.rpartition("-")[0]) and name.rpartition("-")[2].startswith((features or "")[:12])
    ]
    if not fitting:
        raise UnknownFeatures(f"{where} holds no such features: expected one of {', '.join(every) or 'nothing'}")
    return fitting


def _choose(store: FeatureStore, backbone: str | None, features: str | None) -> list[FeatureSet]:
    return [FeatureSet.load(folder) for folder in choose_folders(store, backbone, features)]


def _holding(features: FeatureSet, last: FeatureSet) -> Holding:
    recipe, problem = features.recipe, None
    rows, parts = 0, 0
    try:
        found = features.parts()
        rows, parts = len(features.keys()), len(found)
    except CacheError as error:
        problem = str(error)
    used = features.last_use
    return Holding(
        name=recipe.folder,
        backbone=recipe.backbone,
        digest=features.digest,
        rows=rows,
        width=0 if problem else features.width,
        parts=parts,
        bytes=_size(features.folder),
        last_use=None if used is None else datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
        differences=tuple(differences(last.recipe, recipe)),
        problem=problem,
    )


def _rows(folder: Path) -> int:
    """Return how many rows can be read in a folder of features; 0 where it is damaged."""
    try:
        return len(FeatureSet.load(folder).keys())
    except (CacheError, OSError):
        return 0


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != PARTIAL)


def _fields(record: Holding) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Holding.__slots__}
