"""Pictures that are nearly the same, and pictures that are like no other of their class; from the features.

Likeness is the cosine of features after their mean was taken off, which spreads the cosines of
different pictures apart (docs/audit.md has the figures). All pairs are compared, block against
block, and per picture only the nearest few are kept: memory is the features, once more for the
scaled copy, and one block of `BLOCK` x `BLOCK` numbers (4 MB), whatever the number of pictures.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024
CANDIDATE = 0.5
"""Least cosine of a pair that is worth a look at the pixels."""
CANDIDATES = 5
"""How many of the nearest pictures in each split are looked at, per picture."""
NEAREST = 10
"""How many pictures of its own class an outlier is far from."""
FEWEST = 5
"""A class with fewer pictures has no notion of an outlier."""
OUTLYING = 3.5
"""Least modified z-score of an outlier (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""


def scale_rows(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows of X, shape (n, d), without the mean row and of length one; a zero row stays zero."""
    rows: NDArray[np.float32] = X - X.mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def nearest(
    rows: NDArray[np.float32],
    members: NDArray[np.intp],
    among: NDArray[np.intp],
    *,
    count: int,
    least: float = -1.5,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the nearest of some pictures to each of some pictures, the nearest first; none is its own.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float32
        From `scale_rows`.
    members : ndarray of shape (m,), intp
        Positions in `rows` whose neighbours are wanted.
    among : ndarray of shape (a,), intp
        Positions that may be neighbours.
    count : int
        How many, k.
    least : float
        Neighbours with a lower cosine are not wanted.

    Returns
    -------
    ndarray of shape (m, k), intp
        Positions in `rows`; -1 where there are fewer than k.
    ndarray of shape (m, k), float32
        Cosines; minus infinity where there are fewer than k.
    """
    positions = np.full((len(members), count), -1, dtype=np.intp)
    cosines = np.full((len(members), count), -np.inf, dtype=np.float32)
    for top in range(0, len(members), BLOCK):
        here = members[top : top + BLOCK]
        block = rows[here]
        best, which = cosines[top : top + BLOCK], positions[top : top + BLOCK]
        for left in range(0, len(among), BLOCK):
            others = among[left : left + BLOCK]
            found = block @ rows[others].T  # (b, b')
            found[here[:, None] == others] = -np.inf
            # Most blocks have nothing nearer for most rows: seen in the greatest number, without sorting.
            open_rows = np.flatnonzero(found.max(axis=1) >= np.maximum(best[:, -1], least))
            if not len(open_rows):
                continue
            found = found[open_rows]
            keep = min(count, len(others))
            chosen = np.argpartition(-found, keep - 1, axis=1)[:, :keep]
            merged = np.concatenate([best[open_rows], np.take_along_axis(found, chosen, axis=1)], axis=1)
            owners = np.concatenate([which[open_rows], others[chosen]], axis=1)
            # By cosine, then by position, so that ties fall alike everywhere.
            order = np.lexsort((owners, -merged), axis=1)[:, :count]
            best[open_rows] = np.take_along_axis(merged, order, axis=1)
            which[open_rows] = np.take_along_axis(owners, order, axis=1)
    cosines[cosines < least] = -np.inf
    positions[np.isneginf(cosines)] = -1
    return positions, cosines


def find_candidates(rows: NDArray[np.float32], splits: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return pairs that may be nearly the same picture, the most alike first.

    In every split the `CANDIDATES` nearest of each picture are considered, so that many twins in its
    own split do not hide the one in another.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float32
        From `scale_rows`, a row per distinct picture.
    splits : sequence of str, length n

    Returns
    -------
    ndarray of shape (p, 2), intp
        Positions of both pictures, the lower one first; p is at most `CANDIDATES` times n per split.
    ndarray of shape (p,), float32
        Their cosines, at least `CANDIDATE`.
    """
    split_of = np.array(splits)
    ends, found = [np.empty((0, 2), dtype=np.intp)], [np.empty(0, dtype=np.float32)]
    for split in sorted(set(splits)):
        among = np.flatnonzero(split_of == split)
        positions, cosines = nearest(rows, np.arange(len(rows)), among, count=CANDIDATES, least=CANDIDATE)
        which, column = np.nonzero(positions >= 0)
        ends.append(np.sort(np.stack([which, positions[which, column]], axis=1), axis=1))
        found.append(cosines[which, column])
    pairs, first = np.unique(np.concatenate(ends), axis=0, return_index=True)
    likeness = np.concatenate(found)[first]
    order = np.argsort(-likeness, kind="stable")
    return pairs[order], likeness[order]


def join(count: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return group numbers of shape (count,), int64: what pairs connect, directly or not, has the same.

    >>> join(5, [(0, 3), (3, 4)]).tolist()
    [0, 1, 2, 0, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def outlier_scores(rows: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return how far every picture is from its class, shape (n,), float64, as a modified z-score.

    The distance is one minus the mean cosine to the `NEAREST` nearest of the own class; the score is its
    distance from the class's median in units of 1.4826 times the median absolute deviation. NaN in
    classes of fewer than `FEWEST` pictures, and for a picture without class (-1).
    """
    scores = np.full(len(rows), np.nan)
    for label in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == label)
        if len(members) < FEWEST:
            continue
        count = min(NEAREST, len(members) - 1)
        _, cosines = nearest(rows, members, members, count=count)
        distance = 1 - cosines.mean(axis=1, dtype=np.float64)
        deviation = np.abs(distance - np.median(distance))
        # A class of copies has no deviation; a floor of a thousandth keeps rounding out of the score.
        scores[members] = (distance - np.median(distance)) / max(1.4826 * float(np.median(deviation)), 1e-3)
    return scores
