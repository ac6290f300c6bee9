"""Pictures that belong together: the same bytes, the same group, and what these connect.

A patient, a film, a burst of shots: pictures of one group resemble each other more than others do,
so a group in two splits makes the judgement too kind.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ...cache.part import Key
from ...cache.table import SPLITS, Row
from .labels import first_few


def bind(rows: Sequence[Row]) -> tuple[list[Key], list[str]]:
    """Return what decides the split of every picture, and what should be said about it.

    A picture without a group is decided by its key; all pictures of a group, and all of several
    groups that share bytes, by one key that is made of the (first) group's name.

    Returns
    -------
    list of Key, length n
        Equal for pictures that must be in one split.
    list of str
    """
    if not any(row.group for row in rows):
        return [row.key for row in rows], []
    # Imported here, since most data sets have no groups.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Nodes are keys and groups; a file connects its own two.
    nodes: dict[Key | str, int] = {}
    edges = [
        (nodes.setdefault(row.key, len(nodes)), nodes.setdefault(row.group, len(nodes))) for row in rows if row.group
    ]
    ends = np.array(edges).T  # (2, files with a group)
    graph = coo_array((np.ones(len(edges), np.int8), (ends[0], ends[1])), shape=(len(nodes), len(nodes)))
    _, component = connected_components(graph, directed=False)
    members: dict[int, list[str]] = defaultdict(list)
    for node, number in nodes.items():
        if isinstance(node, str):
            members[int(component[number])].append(node)
    # The first in the alphabet, so that the order of the files does not count.
    deciders = {number: group_key(min(groups)) for number, groups in members.items()}
    bound = [deciders[int(component[nodes[row.key]])] if row.key in nodes else row.key for row in rows]
    united = [" + ".join(sorted(groups)) for groups in members.values() if len(groups) > 1]
    if not united:
        return bound, []
    return bound, [f"groups that share pictures with the same bytes, kept together as one: {first_few(sorted(united))}"]


def group_key(name: str) -> Key:
    """Return the key that decides for a group, from its name."""
    return hashlib.sha256(b"group:" + name.encode("utf-8", "surrogateescape")).digest()


def name_straddling_groups(rows: Sequence[Row], splits: Sequence[str]) -> list[str]:
    """Return what should be said about groups that given splits have torn apart."""
    found: dict[str, set[str]] = defaultdict(set)
    for row, split in zip(rows, splits, strict=True):
        if row.group and split:
            found[row.group].add(split)
    torn = [
        f"{group} ({', '.join(split for split in SPLITS if split in several)})"
        for group, several in sorted(found.items())
        if len(several) > 1
    ]
    if not torn:
        return []
    said = "leak: groups that lie in several given splits, left there, so that accuracy looks better than it is"
    return [f"{said}: {first_few(torn)}"]


def name_shared_bytes(rows: Sequence[Row], before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return what should be said about files that are moved, since a later split has the same bytes."""
    moved = [index for index, split in enumerate(before) if split != after[index]]
    if not moved:
        return []
    stays = {row.key: row.path for row, old, new in zip(rows, before, after, strict=True) if new and old == new}
    pairs = [f"{rows[index].path} = {stays[rows[index].key]}" for index in moved]
    said = "leak: files with the same bytes as one in a later split, kept in the later split only"
    return [f"{said}: {len(moved):,} ({first_few(pairs)})"]
