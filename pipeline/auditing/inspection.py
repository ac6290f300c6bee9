"""What only features show: near-duplicates, outliers, likely label errors.

Near-duplicates come first, since the folds of the label errors keep them together: a twin under
the same wrong label would vouch for it.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...cache.features import FeatureSet
from ...cache.part import Key
from ...cache.places import Place
from ...cache.table import Row
from ...models.heads.folds import deal_folds
from ...models.heads.probes import FOLDS, probabilities_from_features
from ..pictures.likeness import CERTAIN, compare, is_near_duplicate, read_small
from ..progress import Progress
from .findings import LabelError, NearDuplicate, Outlier
from .label_errors import find_suspects
from .neighbours import FEWEST, OUTLYING, find_candidates, join, outlier_scores, scale_rows


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the features show."""

    looked_at: int
    """Distinct pictures that have features."""
    near_duplicates: tuple[NearDuplicate, ...] = ()
    label_errors: tuple[LabelError, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    notes: tuple[str, ...] = ()


def inspect_features(
    pictures: Sequence[Row],
    features: FeatureSet | None,
    root: Place,
    present: Collection[str],
    *,
    unreadable: Collection[Key] = (),
    seed: int,
    progress: Progress,
) -> Inspection:
    """Return what the features of some pictures show.

    Parameters
    ----------
    pictures : sequence of Row
        One per key; without label where that is not to be used.
    features : FeatureSet, optional
        None where the store has none.
    root : Place
        Folder that the paths are relative to.
    present : collection of str
        Paths of the files whose pixels may be read.
    unreadable : collection of Key
        Pictures that cannot have features.
    seed : int
        Of the folds.
    """
    there = features.keys() if features else set()
    rows = [row for row in pictures if row.key in there]
    if features is None or not rows:
        return Inspection(
            0, notes=("no features: near-duplicates, outliers and label errors need them; run extract-features",)
        )
    notes = []
    if without := sum(row.key not in there and row.key not in unreadable for row in pictures):
        notes.append(f"distinct pictures without features, of which only bytes and header were seen: {without:,}")
    X = features.read([row.key for row in rows])
    scaled = scale_rows(X)
    near, unseen = _find_near_duplicates(rows, scaled, root, present)
    if unseen:
        notes.append(
            "pairs of which a picture could not be read, judged by their features alone "
            f"(cosine of {CERTAIN} at least): {unseen:,}"
        )
    progress.say(f"near-duplicates: {len(near):,} pairs")
    number = {label: at for at, label in enumerate(sorted({row.label for row in rows if row.label}))}
    labels = np.array([number.get(row.label, -1) for row in rows], dtype=np.int32)
    if small := _few(rows, max(FEWEST, FOLDS)):
        notes.append(f"classes with too few pictures to tell outliers and label errors: {small}")
    scores = outlier_scores(scaled, labels)
    outliers = [Outlier(rows[at], float(scores[at])) for at in np.flatnonzero(scores >= OUTLYING)]
    errors, unjudged = _find_label_errors(rows, X, group_pictures(rows, near), seed=seed)
    if errors is None:
        notes.append(f"no label errors: telling them needs two classes of at least {FOLDS} pictures")
    if unjudged:
        notes.append(f"labels that could not be judged, since all pictures of the class are of one group: {unjudged:,}")
    return Inspection(
        looked_at=len(rows),
        near_duplicates=tuple(near),
        label_errors=tuple(errors or ()),
        outliers=tuple(sorted(outliers, key=lambda each: (-each.score, each.row.path))),
        notes=tuple(notes),
    )


def group_pictures(rows: Sequence[Row], near_duplicates: Sequence[NearDuplicate]) -> NDArray[np.int64]:
    """Return numbers of shape (n,), int64: near-duplicates, and pictures of one group, have the same."""
    position = {row.key: at for at, row in enumerate(rows)}
    ends = [(position.get(pair.first.key), position.get(pair.second.key)) for pair in near_duplicates]
    pairs = [(one, other) for one, other in ends if one is not None and other is not None]
    first_of: dict[str, int] = {}
    for at, row in enumerate(rows):
        if row.group:
            pairs.append((first_of.setdefault(row.group, at), at))
    return join(len(rows), pairs)


def _find_near_duplicates(
    rows: Sequence[Row], scaled: NDArray[np.float32], root: Place, present: Collection[str]
) -> tuple[list[NearDuplicate], int]:
    """Return the pairs, those across splits first, and how many were judged without their pixels."""
    pairs, cosines = find_candidates(scaled, [row.split for row in rows])
    small = read_small(root, {rows[at].path for at in np.unique(pairs)} & set(present))
    found, unseen = [], 0
    for ends, cosine in zip(pairs, cosines, strict=True):
        first, second = sorted((rows[at] for at in ends), key=lambda row: row.path)
        likeness = None
        if first.path in small and second.path in small:
            likeness = compare(small[first.path], small[second.path])
        if not is_near_duplicate(float(cosine), likeness):
            continue
        unseen += likeness is None
        correlation, mirrored = (likeness.correlation, likeness.mirrored) if likeness else (None, None)
        found.append(NearDuplicate(first, second, float(cosine), correlation, mirrored))
    return sorted(found, key=lambda each: (not each.across_splits, -each.cosine, each.first.path)), unseen


def _find_label_errors(
    rows: Sequence[Row], X: NDArray[np.float32], groups: NDArray[np.int64], *, seed: int
) -> tuple[list[LabelError] | None, int]:
    """Return the suspects and how many pictures could not be judged.

    None instead of suspects where there are fewer than two classes with a picture per fold.
    """
    counts = Counter(row.label for row in rows)
    classes = sorted(label for label, count in counts.items() if label and count >= FOLDS)
    if len(classes) < 2:
        return None, 0
    chosen = [at for at, row in enumerate(rows) if row.label in classes]
    labels = np.array([classes.index(rows[at].label) for at in chosen], dtype=np.int32)
    folds = deal_folds(labels, groups[chosen], FOLDS, seed=seed)
    probabilities = probabilities_from_features(X[chosen], labels, folds, seed=seed)
    errors = [
        LabelError(
            row=rows[chosen[suspect.position]],
            suggested=classes[suspect.suggested],
            given_probability=suspect.given_probability,
            suggested_probability=suspect.suggested_probability,
            confident=suspect.confident,
        )
        for suspect in find_suspects(probabilities, labels)
    ]
    return errors, int(np.isnan(probabilities).any(axis=1).sum())


def _few(rows: Sequence[Row], enough: int) -> str:
    counts = Counter(row.label for row in rows if row.label)
    small = [f"{label} ({count})" for label, count in sorted(counts.items()) if count < enough]
    return ", ".join(small[:10]) + (f" and {len(small) - 10} more" if len(small) > 10 else "")
