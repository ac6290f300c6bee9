"""Is everything still what was written? Every byte of a feature set is read and checked.

Damaged parts are told with their reasons; repairing moves them out of use, into the folder
`damaged` beside `parts`, so that the next extraction makes their rows anew and nothing is destroyed
that somebody may want to look at. `cache prune` removes them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import CacheError
from .features import FeatureSet
from .files import fsync, writing_errors
from .part import KEY_DTYPE, Part, open_part, read_rows


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what was written, or that this demijohn cannot read."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read and checked of one feature set."""

    parts: int
    """That are sound and count."""
    rows: int
    """Distinct, in sound parts that count."""
    bytes: int
    """Of all files that were read."""
    damaged: tuple[Damage, ...]


def verify_features(folder: Path) -> Verification:
    """Read every part of the feature set in a folder, and return what is sound and what is not.

    Checked are the format, the recipe, the content digest, every checksum, the order of the keys,
    and that all values are finite. Memory is a few MB and the keys.
    """
    try:
        features = FeatureSet.load(folder)
        begun = features.begun
    except CacheError as error:
        return Verification(0, 0, 0, (Damage(folder / "recipe.json", str(error)),))
    width = begun.probe.width if begun else 0
    sound: list[Part] = []
    damaged: list[Damage] = []
    read = 0
    for path in features.part_paths():
        try:
            part = open_part(path, features.digest)
            reason = examine(part, width)
            read += path.stat().st_size
        except FileNotFoundError:
            # Superseded and pruned meanwhile.
            continue
        except (CacheError, OSError) as error:
            damaged.append(Damage(path, str(error)))
            continue
        if reason:
            damaged.append(Damage(path, reason))
        else:
            sound.append(part)
    superseded = frozenset().union(*(part.supersedes for part in sound))
    counting = [part for part in sound if part.path.name not in superseded]
    keys: NDArray[np.bytes_] = np.concatenate([np.empty(0, KEY_DTYPE), *(part.keys for part in counting)])
    return Verification(len(counting), len(np.unique(keys)), read, tuple(damaged))


def repair_features(folder: Path, verification: Verification) -> None:
    """Move what is damaged out of use, and bring features.h5 up to date.

    Raises
    ------
    StoreNotWritable
        The folder may not be written.
    """
    aside = folder / "damaged"
    for damage in verification.damaged:
        with writing_errors(damage.path):
            aside.mkdir(exist_ok=True)
            os.replace(damage.path, aside / damage.path.name)
            fsync(damage.path.parent)
    if (folder / "recipe.json").exists():
        FeatureSet.load(folder).refresh()


def examine(part: Part, width: int) -> str:
    """Read a whole part; return what is wrong with it that no checksum tells, or nothing.

    `width` is how many features a row has by the probe, or 0 where that is not known.

    Raises
    ------
    DamagedFile
        A checksum does not fit.
    """
    for _, rows in read_rows(part, np.arange(len(part.keys))):
        if not np.isfinite(rows).all():
            return f"{part.path} is damaged: it holds values that are not finite"
    if not (part.keys[1:] > part.keys[:-1]).all():
        return f"{part.path} is damaged: its keys are not ascending"
    if width and part.width != width:
        return f"{part.path} belongs elsewhere: expected {width} features per row, found {part.width}"
    return ""
