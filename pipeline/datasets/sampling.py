"""A part of a large data set that stands for the whole, to try a backbone on."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from ...cache.part import Key
from ...cache.table import Row

_AT_LEAST = 3


def draw_sample(rows: Sequence[Row], limit: int, *, seed: int) -> set[Key]:
    """Return the keys of a stratified sample.

    Within a class (and a given split) the pictures are ordered by a hash of key and seed, and the
    r-th of n gets the rank (r + 1/2) / n; those with the lowest ranks are taken, whatever their
    class. This is Webster's method of apportionment: the shares of the classes are as in the whole,
    and the sample of 100 is part of the sample of 200. Before that every class gets its first three
    in turn, so that a small one is not lost.

    Parameters
    ----------
    rows : sequence of Row
        With the given splits.
    limit : int
        Distinct pictures to take; all, if there are no more.
    seed : int
    """
    strata: dict[tuple[str, str], set[Key]] = defaultdict(set)
    seen: set[Key] = set()
    for row in sorted(rows, key=lambda row: (row.label, row.split)):
        if row.key not in seen:
            seen.add(row.key)
            strata[row.label, row.split].add(row.key)
    ranked = []
    for keys in strata.values():
        order = sorted((_lot(key, seed), key) for key in keys)
        for place, (lot, key) in enumerate(order):
            first = place < _AT_LEAST
            ranked.append((not first, place if first else (place + 0.5) / len(order), lot, key))
    return {key for *_, key in sorted(ranked)[:limit]}


def _lot(key: Key, seed: int) -> bytes:
    # Not the hash that decides the split: else the sample would be of one split.
    return hashlib.sha256(f"sample:{seed}:".encode() + key).digest()
