"""What features a store holds, by families: feature sets that differ only in the view are one.

A family has the name of its view 0: the folder of the pictures themselves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...cache.errors import CacheError, UnknownFeatures
from ...cache.features import FeatureSet
from ...cache.files import PARTIAL
from ...cache.recipe import Recipe, differences
from ...cache.store import FeatureStore
from ..pictures.augmentation import augment_names

Found = tuple[Path, FeatureSet | CacheError]
"""A folder of features, with the feature set in it or why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One family of feature sets, as `cache list` shows it."""

    name: str
    """Of the folder of view 0: backbone and the first digits of the digest."""
    backbone: str
    digest: str
    rows: int
    """Of view 0."""
    views: dict[str, int]
    """How many further views there are, by their augmentations."""
    view_rows: int
    """Of all further views."""
    width: int
    parts: int
    bytes: int
    """On disk, with superseded parts and further views."""
    last_use: str | None
    """When rows were last asked for or added, ISO 8601 in UTC."""
    differences: tuple[str, ...]
    """From the family of this backbone that was used last, as `field: there -> here`."""
    problem: str | None
    """Why it, or one of its views, cannot be read; None where all can."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "differences": list(self.differences)}


def list_features(*, store: str | Path = "bottlenecks") -> list[Holding]:
    """Return what features a store holds, the last used first, those that cannot be read last.

    Raises
    ------
    UnknownFeatures
        There is no such store.
    """
    families = find_families(FeatureStore(store))
    readable = {name: sets for name, found in families.items() if (sets := _readable(found))}
    ordered = sorted(readable, key=lambda name: -_last_use(readable[name]))
    last = {readable[name][0].recipe.backbone: _family_of(readable[name][0].recipe) for name in reversed(ordered)}
    holdings = [_hold(name, families[name], last) for name in ordered]
    for folder, error in (each for name, found in families.items() if name not in readable for each in found):
        backbone, _, digest = folder.name.rpartition("-")
        size = measure_folder(folder)
        holdings.append(Holding(folder.name, backbone, digest, 0, {}, 0, 0, 0, size, None, (), str(error)))
    return holdings


def find_families(store: FeatureStore) -> dict[str, list[Found]]:
    """Return the folders of features by the names of their families; one that cannot be read is its own.

    Raises
    ------
    UnknownFeatures
        There is no such store.
    """
    if not store.folder.is_dir():
        raise UnknownFeatures(
            f"there is no store {store.folder}: expected a folder that extract-features has filled; "
            "name it with --store DIR, in Python with store=DIR"
        )
    families: dict[str, list[Found]] = {}
    for folder, found in store.survey():
        name = _family_of(found.recipe).folder if isinstance(found, FeatureSet) else folder.name
        families.setdefault(name, []).append((folder, found))
    return families


def choose_families(store: FeatureStore, backbone: str | None, features: str | None) -> dict[str, list[Path]]:
    """Return the folders of the families that fit, by their names, those that cannot be read among them.

    The digest of any of its views names a family.

    Raises
    ------
    UnknownFeatures
        Nothing fits.
    """
    families = {name: [folder for folder, _ in found] for name, found in find_families(store).items()}
    names = {name: [folder.name for folder in folders] for name, folders in families.items()}
    return {name: families[name] for name in _choose(names, str(store.folder), backbone, features)}


def choose_folders(store: FeatureStore, backbone: str | None, features: str | None) -> list[Path]:
    """Return all folders of the families that fit; see `choose_families`."""
    return [folder for folders in choose_families(store, backbone, features).values() for folder in folders]


def choose_shared(
    recipes: Mapping[str, Recipe | None], where: str, backbone: str | None, features: str | None
) -> list[str]:
    """Return the names of all folders of the families that fit, of what is shared; see `choose_families`.

    Parameters
    ----------
    recipes : mapping of str to Recipe or None
        By the names of the folders; None where the recipe cannot be read.
    where : str
        What errors say.
    """
    families: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        families.setdefault(name if recipe is None else _family_of(recipe).folder, []).append(name)
    return [name for family in _choose(families, where, backbone, features) for name in families[family]]


def measure_folder(folder: Path) -> int:
    """Return the bytes of all files in a folder that have been written to their end."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != PARTIAL)


def _choose(families: Mapping[str, Sequence[str]], where: str, backbone: str | None, features: str | None) -> list[str]:
    """Return the names of the families that fit, by those of their folders; any of them names the family."""
    chosen = [
        family
        for family, folders in families.items()
        if any(_fits(each, backbone, features) for each in (family, *folders))
    ]
    if not chosen:
        there = ", ".join(families)
        raise UnknownFeatures(
            f"{where} holds no such features: expected one of {there}" if there else f"{where} holds no features yet"
        )
    return chosen


def _fits(name: str, backbone: str | None, features: str | None) -> bool:
    named, _, digest = name.rpartition("-")
    return backbone in (None, named) and digest.startswith((features or "")[:12])


def _family_of(recipe: Recipe) -> Recipe:
    return recipe.of_view(0, "none")


def _readable(found: Sequence[Found]) -> list[FeatureSet]:
    return [features for _, features in found if isinstance(features, FeatureSet)]


def _last_use(sets: Sequence[FeatureSet]) -> float:
    return max(each.last_use or 0 for each in sets)


def _hold(name: str, found: Sequence[Found], last: dict[str, Recipe]) -> Holding:
    sets = _readable(found)
    recipe = _family_of(sets[0].recipe)
    problem = next((str(error) for _, error in found if isinstance(error, CacheError)), None)
    rows: Counter[int] = Counter()
    views: Counter[str] = Counter()
    parts = width = 0
    for each in sets:
        if each.recipe.view:
            views[augment_names(each.recipe.augment)] += 1
        try:
            parts += len(each.parts())
            rows[each.recipe.view] += len(each.keys())
            width = width or each.width
        except CacheError as error:
            problem = problem or str(error)
    used = _last_use(sets)
    return Holding(
        name=name,
        backbone=recipe.backbone,
        digest=recipe.digest,
        rows=rows[0],
        views=dict(sorted(views.items())),
        view_rows=rows.total() - rows[0],
        width=width,
        parts=parts,
        bytes=sum(measure_folder(folder) for folder, _ in found),
        last_use=datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds") if used else None,
        differences=tuple(differences(last[recipe.backbone], recipe)),
        problem=problem,
    )
