"""A cache that a team shares at a URL: what it lacks is pushed, what the store lacks is pulled.

Features, tables of data sets and refusals travel; runs, reports, compiled backbones and the index do not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...cache.errors import CacheError, DamagedFile, UnknownDataset, Unreachable
from ...cache.features import FeatureSet
from ...cache.places import is_url, place_of
from ...cache.shared import SharedCache
from ...cache.shared_tables import Outcome, list_datasets, pull_dataset, pull_refusals, push_dataset, push_refusals
from ...cache.store import FeatureStore
from ...cache.transfer import Moved, Refused, pull_features, push_features, read_recipes
from ..errors import InvalidRequest
from ..progress import SILENT, Progress
from .holdings import choose_folders, choose_shared


@dataclass(frozen=True, slots=True)
class Exchange:
    """What travelled between a store and a shared cache."""

    direction: Literal["push", "pull"]
    url: str
    feature_sets: tuple[Moved, ...]
    datasets: dict[str, Outcome]
    """By name: moved, the same on both sides, or kept as it differs."""
    refusals: int
    """Pictures that could not be read, of which the other side did not know."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `cache push --json` and `cache pull --json`."""
        return {
            "url": self.url,
            "feature_sets": [
                {
                    "features": each.name,
                    "parts": each.parts,
                    "rows": each.rows,
                    "bytes": each.bytes,
                    "there": each.there,
                    "refused": [{"path": one.path, "reason": one.reason} for one in each.refused],
                }
                for each in self.feature_sets
            ],
            "datasets": dict(self.datasets),
            "refusals": self.refusals,
            "bytes": sum(each.bytes for each in self.feature_sets),
        }

    def check(self) -> None:
        """Raise where something was refused.

        Raises
        ------
        DamagedFile
        """
        refused = [one for each in self.feature_sets for one in each.refused]
        if refused:
            raise DamagedFile(f"refused: {len(refused):,}, the first: {refused[0].reason}")


def push_cache(
    url: str,
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    dataset: str | None = None,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Exchange:
    """Send what a shared cache lacks of the chosen feature sets, of data sets and of refusals.

    Parameters
    ----------
    url : str
        Of a folder that fsspec can write: `s3://bucket/cache`.
    dataset : str, optional
        Only the table of this data set; all by default. Rows go by feature sets, not by data sets.
    replace : bool
        Replace tables of data sets that differ there.

    Raises
    ------
    InvalidRequest
        It is no URL.
    UnknownFeatures, UnknownDataset
        Nothing fits.
    Unreachable
        It cannot be reached, or not with these credentials; what was sent before is there.
    """
    kept, shared = FeatureStore(store), _open(url)
    names = [kept.find_dataset(dataset).name] if dataset else kept.dataset_names()
    moved = []
    with _allowed(url):
        for folder in choose_folders(kept, backbone, features):
            progress.say(f"pushing {folder.name}")
            moved.append(_or_refused(folder.name, lambda folder=folder: push_features(FeatureSet.load(folder), shared)))
        tables = {name: push_dataset(kept.folder, name, shared, replace=replace) for name in names}
        return Exchange("push", shared.url, tuple(moved), tables, push_refusals(kept.folder, shared))


def pull_cache(
    url: str,
    *,
    store: str | Path = "bottlenecks",
    backbone: str | None = None,
    features: str | None = None,
    dataset: str | None = None,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Exchange:
    """Install what the store lacks of a shared cache; see `push_cache`.

    Raises
    ------
    InvalidRequest, UnknownFeatures, UnknownDataset, Unreachable
        See `push_cache`; what was installed before is there.
    StoreNotWritable
        The disk is full, or may not be written.
    """
    kept, shared = FeatureStore(store), _open(url)
    moved = []
    with _allowed(url):
        folders = choose_shared(read_recipes(shared), shared.url, backbone, features)
        known = list_datasets(shared)
        if dataset and dataset not in known:
            raise UnknownDataset(f"{url} holds no data set {dataset}: expected one of {', '.join(known) or 'nothing'}")
        for name in folders:
            progress.say(f"pulling {name}")
            folder = kept.folder / "features" / name
            moved.append(_or_refused(name, lambda folder=folder: pull_features(folder, shared)))
        names = [dataset] if dataset else known
        tables = {name: pull_dataset(kept.folder, name, shared, replace=replace) for name in names}
        return Exchange("pull", shared.url, tuple(moved), tables, pull_refusals(kept.folder, shared))


def _open(url: str) -> SharedCache:
    if not is_url(url):
        raise InvalidRequest(f"{url} is no URL: expected one such as s3://bucket/cache, or file:///mnt/shared/cache")
    return SharedCache(str(place_of(url)))


def _or_refused(name: str, move: Any) -> Moved:
    """Return what moved of one feature set; where it cannot be read, the others move all the same."""
    try:
        return move()  # type: ignore[no-any-return]
    except CacheError as error:
        if not isinstance(error, ValueError):
            raise
        return Moved(name, 0, 0, 0, 0, (Refused(name, str(error)),))


@contextmanager
def _allowed(url: str) -> Iterator[None]:
    """Say of what may not be done, or is not there, what to do about it."""
    try:
        yield
    except PermissionError as error:
        raise Unreachable(
            f"{error.filename} may not be used with the credentials of this environment: set those that may "
            "(AWS_PROFILE, AWS_ACCESS_KEY_ID, ...; docs/remote.md)"
        ) from error
    except FileNotFoundError as error:
        raise Unreachable(f"{url} is not there: expected a bucket that exists; make it first") from error
