"""Care of the store: is it sound, and what may go.

Each function is one of the commands `demijohn cache ...`. They go over families of feature sets chosen by
backbone or digest, or over all (see `holdings`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cache.errors import CacheError, DamagedFile, NothingLeft
from ...cache.export import SUFFIXES, Exported, export_features
from ...cache.features import FeatureSet
from ...cache.files import partial_name, remove, remove_leftovers, writing_errors
from ...cache.merging import merge_parts, prune_rows
from ...cache.part import Key
from ...cache.remedies import on_store, repair_hint
from ...cache.store import FeatureStore
from ...cache.verification import Verification, repair_features, verify_features
from ..errors import InvalidRequest
from ..extraction.frozen import is_compiled_for
from ..progress import SILENT, Progress
from .holdings import choose_families, choose_folders, measure_folder


@dataclass(frozen=True, slots=True)
class Verified:
    """One folder of features, as `cache verify` found it."""

    folder: Path
    verification: Verification
    repaired: bool

    @property
    def name(self) -> str:
        """Of the folder: backbone and the first digits of the digest."""
        return self.folder.name

    @property
    def mend(self) -> str:
        """What makes the rows anew that were taken out of use."""
        try:
            return f"run {FeatureSet.load(self.folder).command()}"
        except (CacheError, OSError):
            return "run extract-features with the options of then"

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
    """What a care of one feature set, or of one family, changed."""

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


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `cache prune` changed."""

    feature_sets: tuple[Change, ...]
    engines: int
    """Compiled backbones that went, since no feature set is of them."""
    engine_bytes: int
    """That they took."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "feature_sets": [each.to_json() for each in self.feature_sets],
            "engines": {"removed": self.engines, "bytes": self.engine_bytes},
        }


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
        verified.append(Verified(folder, found, bool(found.damaged) and repair))
    return verified


def check_verified(verified: Sequence[Verified]) -> None:
    """Raise if something is damaged and was not repaired.

    Raises
    ------
    DamagedFile
    """
    damaged = [each for each in verified if each.verification.damaged and not each.repaired]
    if damaged:
        files = [damage.path for each in damaged for damage in each.verification.damaged]
        raise DamagedFile(f"damaged files: {len(files):,}, the first: {files[0]}; {repair_hint(damaged[0].folder)}")


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
        before = measure_folder(each.folder)
        done = merge_parts(each)
        changes.append(Change(each.recipe.folder, 0, before - measure_folder(each.folder), done))
    return changes


def prune_cache(
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    progress: Progress = SILENT,
) -> Pruned:
    """Remove what no data set needs: rows, superseded and damaged parts, leftovers, engines.

    Compiled backbones of which there is no feature set go too, but for those of the last hour, and only
    where all feature sets are chosen.

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
            f"{kept.folder} knows no data set with pictures, so that every row would go: run "
            f"{on_store('extract-features IMAGES', kept.folder)} on the folders that are to stay, or "
            f"{on_store('demijohn cache remove --features DIGEST', kept.folder)} to remove whole feature sets"
        )
    remove_leftovers(kept.folder / "features")
    changes = []
    for each in chosen:
        progress.say(f"pruning {each.recipe.folder}")
        outcome = prune_rows(each, wanted)
        rows, size = outcome or (0, 0)
        changes.append(Change(each.recipe.folder, rows, size, outcome is not None))
    engines = (0, 0)
    if not backbone and not features:
        recipes = [each.recipe for each in chosen]
        engines = kept.compiled.prune(lambda made: any(is_compiled_for(made, recipe) for recipe in recipes))
    return Pruned(tuple(changes), *engines)


def remove_features(
    *, store: str | Path = "bottlenecks", backbone: str | None = None, features: str | None = None
) -> list[Change]:
    """Remove whole families, readable or not; each folder vanishes at once, under a `.partial` name first.

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
    for family, folders in choose_families(kept, backbone, features).items():
        size, rows = sum(map(measure_folder, folders)), sum(map(_rows, folders))
        for folder in folders:
            with writing_errors(folder):
                gone = partial_name(folder)
                folder.rename(gone)
            remove(gone)
        changes.append(Change(family, rows, size, done=True))
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


def _choose(store: FeatureStore, backbone: str | None, features: str | None) -> list[FeatureSet]:
    return [FeatureSet.load(folder) for folder in choose_folders(store, backbone, features)]


def _rows(folder: Path) -> int:
    """Return how many rows can be read in a folder of features; 0 where it is damaged."""
    try:
        return len(FeatureSet.load(folder).keys())
    except (CacheError, OSError):
        return 0
