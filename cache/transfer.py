"""Features, data sets and refusals on their way between a store and a cache that a team shares.

    features/<backbone>-<digest>/recipe.json      as in a store
    features/<backbone>-<digest>/parts/<id>.h5    rows; `id` is the first half of the part's `content`
    features/<backbone>-<digest>/parts/<id>.keys  the keys of that part, and SHA-256 of them
    datasets/<name>.csv, <name>.json              as in a store
    refusals/<digest>.csv                         lines of refusals.csv; named by their SHA-256

What is missing is decided by keys, not by the names of parts, which change when either side merges its own.
Parts are never changed and are named by what they hold, so that two people may push at once. Every row is
checked against its checksum before it is sent, and again before it is installed.
"""

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import CacheError, DamagedFile, NewerFormat, OlderFormat
from .features import Begun, FeatureSet, parse_begun
from .files import parse_json, replacing, write_bytes
from .merging import PART_BYTES
from .part import KEY_DTYPE, SUFFIX, open_part, write_part
from .probe import TOLERANCE
from .recipe import Recipe
from .remote import CONNECTIONS
from .shared import SharedCache
from .verification import examine

KEYS_SUFFIX = ".keys"
_AT_ONCE = 4
"""Parts that travel at once, each of up to 64 MiB."""
_NAME_DIGITS = 32

_MEND = ": remove it there, and push its rows again"

Keys = NDArray[np.bytes_]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Refused:
    """A part that did not travel."""

    path: str
    """Where it lies, or the folder of its feature set where it is not known which it is."""
    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What travelled of one feature set."""

    name: str
    """Of the folder: backbone and the first digits of the digest."""
    parts: int
    rows: int
    """Distinct, that the other side did not have."""
    bytes: int
    """Of the parts."""
    there: int
    """Rows that were there already."""
    refused: tuple[Refused, ...] = ()


def list_features(shared: SharedCache) -> list[str]:
    """Return the names of the folders of features that are shared, sorted."""
    recipes = [name for name in shared.list("features") if name.endswith("/recipe.json") and name.count("/") == 1]
    return sorted(name.partition("/")[0] for name in recipes)


def read_recipes(shared: SharedCache) -> dict[str, Recipe | None]:
    """Return the recipes of all features that are shared, by the names of their folders; None for what is damaged."""

    def read(name: str) -> Recipe | None:
        try:
            return _read_recipe(shared, f"features/{name}/recipe.json").recipe
        except CacheError as error:
            # What cannot be reached is told now, what cannot be read when it is pulled.
            if not isinstance(error, ValueError):
                raise
            return None

    names = list_features(shared)
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch") as threads:
        return dict(zip(names, threads.map(read, names), strict=True))


def push_features(features: FeatureSet, shared: SharedCache) -> Moved:
    """Send the rows that a shared cache lacks, as parts of up to 64 MiB.

    Raises
    ------
    DamagedFile
        recipe.json or the head of a part cannot be read here, or recipe.json there.
    Unreachable, PermissionError
        See `SharedCache`.
    """
    name = features.folder.name
    _send_recipe(features, shared)
    mine = _sorted(part.keys for part in features.parts())
    listed = shared.list(f"features/{name}/parts")
    theirs = _sorted(_remote_keys(shared, name, listed, listed).values())
    lacking = mine[~_among(mine, theirs)]
    step = max(1, PART_BYTES // (4 * max(1, features.width)))
    chunks = [lacking[start : start + step] for start in range(0, len(lacking), step)]

    sent: list[int] = []

    def send(keys: Keys) -> int | Refused:
        try:
            with tempfile.TemporaryDirectory() as folder:
                rows = features.gather(features.parts(), keys)
                path = write_part(Path(folder), keys, rows, recipe=features.digest)
                target = f"features/{name}/parts/{open_part(path, features.digest).content[:_NAME_DIGITS]}"
                beside = path.with_suffix(KEYS_SUFFIX)
                beside.write_bytes(keys.tobytes() + hashlib.sha256(keys.tobytes()).digest())
                # First, so that a part is hardly ever without it.
                shared.upload(beside, target + KEYS_SUFFIX)
                shared.upload(path, target + SUFFIX)
                sent.append(len(keys))
                return path.stat().st_size
        except DamagedFile as error:
            return Refused(str(features.folder), str(error))

    outcomes = _at_once(send, chunks)
    return _sum_up(name, outcomes, sum(sent), len(mine) - len(lacking))


def pull_features(folder: Path, shared: SharedCache) -> Moved:
    """Install the parts whose rows the feature set in a folder lacks, and bring features.h5 up to date.

    A part is checked wholly before it gets its name; what is damaged is told and left out.

    Raises
    ------
    DamagedFile
        recipe.json cannot be read here or there, or was made with other numbers.
    StoreNotWritable, Unreachable, PermissionError
        The store, or what is shared, cannot be used.
    """
    name = folder.name
    features = _begin(folder, shared)
    listed = shared.list(f"features/{name}/parts")
    here = {path.name for path in features.part_paths()}
    new = {each: size for each, size in listed.items() if each.endswith(SUFFIX) and each not in here}
    keys = _remote_keys(shared, name, listed, new)
    parts = features.parts()
    superseded = frozenset().union(*(part.supersedes for part in parts))
    mine = _sorted(part.keys for part in parts)
    # What nobody told the keys of must be fetched to know them.
    wanted = [each for each in new if each not in keys] + _choose(keys, mine)
    width = features.begun.probe.width if features.begun else 0

    def fetch(each: str) -> int | Refused:
        source = f"features/{name}/parts/{each}"
        # Under a name that a part here has taken over, its rows would not count.
        path = features.parts_folder / (f"{uuid.uuid4().hex}{SUFFIX}" if each in superseded else each)
        try:
            with replacing(path) as temporary:
                shared.download(source, temporary)
                _check(temporary, shared.where(source), features.digest, width)
            return new[each]
        except FileNotFoundError:
            return Refused(shared.where(source), "it was removed there meanwhile")
        except (DamagedFile, NewerFormat, OlderFormat) as error:
            return Refused(shared.where(source), str(error))

    outcomes: list[int | Refused] = []
    now = mine
    while wanted:
        outcomes += _at_once(fetch, wanted)
        now = _sorted(part.keys for part in features.parts())
        keys = {each: told for each, told in keys.items() if each not in wanted}
        # The rows of a damaged part may be in others as well.
        wanted = _choose(keys, now)
    features.refresh()
    return _sum_up(name, outcomes, len(now) - len(mine), len(mine))


def _send_recipe(features: FeatureSet, shared: SharedCache) -> None:
    """Send recipe.json unless there is one; make sure that what is there was made with the same numbers."""
    name = f"features/{features.folder.name}/recipe.json"
    if shared.read(name) is None:
        shared.upload(features.folder / "recipe.json", name)
    # Read back: of two people who begin at once the last one's stays.
    _check_agreement(features, _read_recipe(shared, name), shared.where(name))


def _begin(folder: Path, shared: SharedCache) -> FeatureSet:
    """Return the feature set in a folder, begun with the shared recipe.json where it was not."""
    name = f"features/{folder.name}/recipe.json"
    theirs = _read_recipe(shared, name)
    if not (folder / "recipe.json").exists():
        write_bytes(folder / "recipe.json", shared.read(name) or b"", keep_existing=True)
    features = FeatureSet.load(folder)
    _check_agreement(features, theirs, shared.where(name))
    return features


def _read_recipe(shared: SharedCache, name: str) -> Begun:
    content = shared.read(name)
    if content is None:
        raise DamagedFile(f"{shared.where(name)} is not there: expected it beside the parts; push it again")
    mend = "remove it there, and push it again"
    return parse_begun(parse_json(content, shared.where(name), mend), shared.where(name), mend)


def _check_agreement(features: FeatureSet, theirs: Begun, url: str) -> None:
    mine = features.begun
    if theirs.recipe.digest != features.digest:
        raise DamagedFile(
            f"{url} is of another recipe: expected {features.digest[:12]}, found {theirs.recipe.digest[:12]}; remove it"
        )
    apart = mine.probe.difference(theirs.probe) if mine else 0.0
    if apart > TOLERANCE:
        raise DamagedFile(
            f"{url} was made by an installation that gives other numbers than {features.folder}: they differ by "
            f"{apart:.2g} of the greatest, expected at most {TOLERANCE:g}; share them at another URL, or extract with "
            "--new"
        )


def _check(path: Path, url: str, digest: str, width: int) -> None:
    """Read every row of a downloaded part.

    Raises
    ------
    DamagedFile, NewerFormat, OlderFormat
        It is not what its URL says, which the message names.
    """
    try:
        part = open_part(path, digest)
        reason = examine(part, width)
    except (DamagedFile, NewerFormat, OlderFormat) as error:
        told = str(error).partition(";")[0].replace(str(path), url)
        raise type(error)(f"{told}; it was not installed{_MEND if isinstance(error, DamagedFile) else ''}") from error
    named = url.rpartition("/")[2] == f"{part.content[:_NAME_DIGITS]}{SUFFIX}" and not part.supersedes
    if reason or not named:
        told = reason.replace(str(path), url) or f"{url} is damaged: it does not hold what its name says"
        raise DamagedFile(f"{told}; it was not installed{_MEND}")


def _remote_keys(shared: SharedCache, name: str, listed: Collection[str], parts: Collection[str]) -> dict[str, Keys]:
    """Return the keys of some shared parts, by the parts' names; of those that tell them."""
    told = [each for each in listed if each.endswith(KEYS_SUFFIX) and _part_of(each) in parts]
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch") as threads:
        contents = list(threads.map(lambda each: shared.read(f"features/{name}/parts/{each}") or b"", told))
    found = {}
    for each, content in zip(told, contents, strict=True):
        keys, digest = content[:-32], content[-32:]
        if len(keys) % 32 == 0 and hashlib.sha256(keys).digest() == digest:
            found[_part_of(each)] = np.frombuffer(keys, KEY_DTYPE)
    return found


def _part_of(name: str) -> str:
    return name.removesuffix(KEYS_SUFFIX) + SUFFIX


def _choose(keys: Mapping[str, Keys], mine: Keys) -> list[str]:
    """Return few parts that hold all keys that are not among `mine`, each taken from the largest that has it."""
    names = sorted(keys, key=lambda name: (-len(keys[name]), name))
    every = np.concatenate([np.empty(0, KEY_DTYPE), *(keys[name] for name in names)])
    owner = np.repeat(np.arange(len(names)), [len(keys[name]) for name in names])
    unique, first = np.unique(every, return_index=True)
    return [names[at] for at in np.unique(owner[first[~_among(unique, mine)]])]


def _sorted(keys: Iterable[Keys]) -> Keys:
    return np.unique(np.concatenate([np.empty(0, KEY_DTYPE), *keys]))


def _among(keys: Keys, ascending: Keys) -> NDArray[np.bool_]:
    """Return which of some keys are among others, which are ascending."""
    if not len(ascending):
        return np.zeros(len(keys), bool)
    at = np.searchsorted(ascending, keys).clip(max=len(ascending) - 1)
    return np.asarray(ascending[at] == keys)


def _at_once(work: Callable[[_T], int | Refused], given: Sequence[_T]) -> list[int | Refused]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="transfer") as threads:
        try:
            return list(threads.map(work, given))
        finally:
            threads.shutdown(cancel_futures=True)


def _sum_up(name: str, outcomes: Sequence[int | Refused], rows: int, there: int) -> Moved:
    sizes = [each for each in outcomes if isinstance(each, int)]
    refused = tuple(each for each in outcomes if isinstance(each, Refused))
    return Moved(name, len(sizes), rows, sum(sizes), there, refused)
