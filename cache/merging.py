"""Fewer and fuller parts: what a run does with its own, and the care of a store with all.

A merged part is written before the parts that it supersedes are ignored, which is one rename; they
are deleted a day later, for whoever reads them now, or by `prune_rows`. Memory is a few parts of
64 MiB, whatever the number of rows.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import numpy as np

from .features import FeatureSet
from .files import remove, remove_leftovers
from .locks import locked
from .part import Key, Part, keys_from_array, keys_to_array, open_part, write_part
from .virtual import count_mappings

KEEP_SUPERSEDED_SECONDS = 24 * 3600
MAX_MAPPINGS = 1024
MERGE_AT_ONCE = 64
PART_BYTES = 64 << 20


def merge_parts(features: FeatureSet, names: Iterable[str] | None = None) -> bool:
    """Merge some of the parts, or all, and bring features.h5 up to date; return whether it could be done.

    Where another process is merging, nothing is merged: that costs no row. Where the rows of the
    remaining parts interleave too finely for a quick features.h5, all parts are merged. Parts
    superseded for more than a day are deleted; younger ones stay, for whoever reads them now.

    Raises
    ------
    StoreNotWritable
        The disk is full or the folder may not be written; what was stored before is intact.
    """
    if not features.has_parts():
        return True
    with locked(features.folder / ".merge.lock") as alone:
        done = alone and _merge_alone(features, names)
        if not done:
            features.refresh()
    return done


def prune_rows(features: FeatureSet, wanted: Collection[Key]) -> tuple[int, int] | None:
    """Remove the rows of all keys but some, and whatever no row needs; return rows and bytes that went.

    None where another process is merging. Readers of this version look again when a part goes;
    another HDF5 program that has features.h5 open sees NaN where its parts have gone.
    """
    if not features.folder.is_dir():
        return 0, 0
    with locked(features.folder / ".merge.lock") as alone:
        if not alone:
            return None
        before = _disk_bytes(features)
        # Sorted, so that a part is told from it in one sweep.
        kept_keys = np.unique(keys_to_array(list(wanted)))
        parts, empty = features.parts(), []
        gone = len(set().union(*(keys_from_array(part.keys[~np.isin(part.keys, kept_keys)]) for part in parts)))
        for part in parts:
            kept = part.keys[np.isin(part.keys, kept_keys)]
            if len(kept) < len(part.keys):
                if len(kept):
                    rows = features.gather([part], kept)
                    names = {part.path.name, *_still_there(features, part.supersedes)}
                    write_part(features.parts_folder, kept, rows, recipe=features.digest, supersedes=names)
                else:
                    empty.append(part)
        for part in empty:
            # First what it superseded, or those parts would count again.
            for name in part.supersedes:
                remove(features.parts_folder / name)
            remove(part.path)
        features.refresh()
        if not features.has_parts():
            remove(features.path)
        _delete_superseded(features, older_than=0.0)
        remove_leftovers(features.parts_folder)
        remove(features.folder / "damaged")
        return gone, before - _disk_bytes(features)


def _merge_alone(features: FeatureSet, names: Iterable[str] | None) -> bool:
    remove_leftovers(features.parts_folder)
    wanted = None if names is None else set(names)
    try:
        between = _merge(features, [part for part in features.parts() if wanted is None or part.path.name in wanted])
        current = features.parts()
        if count_mappings(current) > MAX_MAPPINGS:
            between += _merge(features, current)
    except FileNotFoundError:
        # Only without locks: another process has merged and removed what this one was reading.
        return False
    # First the view that no longer names them, then their end.
    features.refresh()
    for part in between:
        remove(part.path)
    _delete_superseded(features, older_than=KEEP_SUPERSEDED_SECONDS)
    return True


def _merge(features: FeatureSet, parts: list[Part]) -> list[Part]:
    """Merge parts; return those that were only written on the way, which nobody needs any more."""
    if len(parts) < 2:
        return []
    if len(parts) <= MERGE_AT_ONCE:
        _replace(features, parts)
        return []
    # In two steps, since every part written needs rows from all the parts that it is merged from.
    groups = [parts[start : start + MERGE_AT_ONCE] for start in range(0, len(parts), MERGE_AT_ONCE)]
    between = [part for group in groups for part in _replace(features, group)]
    _replace(features, between)
    return between


def _replace(features: FeatureSet, parts: Sequence[Part]) -> list[Part]:
    """Write the rows of some parts as parts of limited size, each a range of keys."""
    keys = np.unique(np.concatenate([part.keys for part in parts]))
    step = max(1, PART_BYTES // (4 * parts[0].width))
    inherited = frozenset().union(*(part.supersedes for part in parts))
    gone = {part.path.name for part in parts} | _still_there(features, inherited)
    paths = []
    for start in range(0, len(keys), step):
        chosen = keys[start : start + step]
        # Only the last one makes the old parts obsolete: until it is there, both count.
        last = start + step >= len(keys)
        rows = features.gather(parts, chosen)
        paths.append(
            write_part(features.parts_folder, chosen, rows, recipe=features.digest, supersedes=gone if last else ())
        )
    return [open_part(path, features.digest) for path in paths]


def _still_there(features: FeatureSet, names: Iterable[str]) -> set[str]:
    return {name for name in names if (features.parts_folder / name).exists()}


def _delete_superseded(features: FeatureSet, *, older_than: float) -> None:
    """Delete parts that were superseded some seconds ago."""
    now = time.time()
    for part in features.parts():
        with suppress(FileNotFoundError):
            if now - part.path.stat().st_mtime >= older_than:
                for name in part.supersedes:
                    remove(features.parts_folder / name)


def _disk_bytes(features: FeatureSet) -> int:
    total = 0
    for path in features.folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
