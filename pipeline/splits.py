"""Which picture trains, which chooses, which judges.

The split of a picture follows from its content: a hash of key (or group) and seed, against fixed
thresholds. It does not change when pictures are added, and two files with the same bytes, or of
the same group, cannot be in two splits. Given splits are honoured; where one is missing it is cut
from training the same way.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from ..cache.part import Key
from ..cache.table import SPLITS, Row, Split
from .groups import bind, name_shared_bytes, name_straddling_groups
from .labelling import USUAL_SHARES, Shares, format_shares
from .labels import first_few
from .sampling import draw_sample

_SMALL = 3


def fraction_of(key: Key, seed: int) -> float:
    """Return a number in [0, 1) that depends on the picture's bytes and the seed only.

    >>> 0 <= fraction_of(bytes(32), 0) < 1, fraction_of(bytes(32), 0) == fraction_of(bytes(32), 1)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:".encode() + key).digest()[:8]) / 2**64


def assign_splits(
    rows: Sequence[Row],
    *,
    seed: int,
    shares: Shares | None = None,
    limit: int = 0,
    unreadable: Collection[Key] = (),
) -> tuple[list[Row], list[str]]:
    """Return the pictures with their splits, and what should be said about it.

    Parameters
    ----------
    rows : sequence of Row
        With the split that the folder or the table gives; empty for none.
    seed : int
    shares : three numbers, optional
        Of train, validation and test, in percent; 70, 15, 15 by default.
    limit : int
        Distinct pictures in the sample; 0 for all.
    unreadable : collection of Key
        Pictures that cannot be decoded, so that no class can be learned from them.

    Returns
    -------
    list of Row
        In the same order; the split is empty for a picture without label.
    list of str
    """
    deciders, notes = bind(rows)
    given, said = _complete_given(rows, shares)
    notes += said
    cut = _split_by_hash(given, deciders, seed=seed, shares=shares or USUAL_SHARES)
    kept = _keep_keys_together(cut)
    notes += name_shared_bytes(cut, kept)
    notes += name_straddling_groups(kept)
    if limit:
        sample = draw_sample(rows, limit, seed=seed)
        total = len({row.key for row in rows})
        if len(sample) < total:
            notes.append(f"a sample of {len(sample):,} of {total:,} distinct pictures; --limit 0 takes all")
        chosen = [index for index, row in enumerate(rows) if row.key in sample]
        kept, deciders = [kept[index] for index in chosen], [deciders[index] for index in chosen]
    kept, said = _give_every_class_training(kept, deciders, seed=seed, unreadable=unreadable)
    notes += said
    if any(row.group for row in kept):
        notes.append(_count_groups(kept, deciders))
    return kept, notes


def _complete_given(rows: Sequence[Row], shares: Shares | None) -> tuple[list[Row], list[str]]:
    """Return the pictures with given splits as they are meant, and what should be said about it."""
    present = [split for split in SPLITS if any(row.split == split for row in rows if row.label)]
    notes = []
    if unlabelled := [split for split in SPLITS if split not in present and any(row.split == split for row in rows)]:
        notes.append(f"given splits without any label, so that nothing is measured on them: {', '.join(unlabelled)}")
    if present and any(row.label and not row.split for row in rows):
        count = sum(bool(row.label and not row.split) for row in rows)
        notes.append(f"pictures without a split beside others that have one, taken as train: {count:,}")
        rows = [replace(row, split="train") if row.label and not row.split else row for row in rows]
        present = [split for split in SPLITS if split in {*present, "train"}]
    share = f"{(shares or USUAL_SHARES)[1]:g} %"
    if present == ["train", "validation"]:
        renamed: dict[str, Split] = {"validation": "test"}
        rows = [replace(row, split=renamed.get(row.split, row.split)) for row in rows]
        notes.append(
            f"no test split is given: the validation split is the test split, and {share} of train is validation"
        )
    elif present == ["train", "test"]:
        notes.append(f"no validation split is given: {share} of train is validation")
    elif shares and len(present) == len(SPLITS):
        notes.append(f"--split {format_shares(shares)} changes nothing: train, validation and test are given")
    return list(rows), notes


def _split_by_hash(rows: Sequence[Row], deciders: Sequence[Key], *, seed: int, shares: Shares) -> list[Row]:
    """Return the pictures with their splits: given, or by the hash of what decides."""
    present = {row.split for row in rows if row.label and row.split}
    train, validation, _ = (share / 100 for share in shares)
    cut = []
    for row, decider in zip(rows, deciders, strict=True):
        split: Split | Literal[""] = row.split
        if not row.label:
            split = ""
        elif present <= {"train"}:
            fraction = fraction_of(decider, seed)
            split = "train" if fraction < train else "validation" if fraction < train + validation else "test"
        elif row.split == "train" and len(present) == 2 and fraction_of(decider, seed) >= 1 - validation:
            split = "validation"
        cut.append(replace(row, split=split))
    return cut


def _keep_keys_together(rows: Sequence[Row]) -> list[Row]:
    """Put a picture whose bytes lie in several splits into the last of them, so that none leaks."""
    last: dict[Key, Split] = {}
    for row in rows:
        if row.split and (row.key not in last or SPLITS.index(row.split) > SPLITS.index(last[row.key])):
            last[row.key] = row.split
    return [replace(row, split=last[row.key]) if row.split else row for row in rows]


def _give_every_class_training(
    rows: Sequence[Row], deciders: Sequence[Key], *, seed: int, unreadable: Collection[Key]
) -> tuple[list[Row], list[str]]:
    """Move what has the lowest hash to train where a class has none; name such classes, and small ones."""
    labels_of: dict[Key, set[str]] = defaultdict(set)
    for row in rows:
        labels_of[row.key].add(row.label)
    splits = [row.split for row in rows]
    # Bytes under two labels are left out of training.
    usable: dict[str, list[int]] = {row.label: [] for row in sorted(rows, key=lambda row: row.label) if row.label}
    for index, row in enumerate(rows):
        if row.label and len(labels_of[row.key] - {""}) == 1 and row.key not in unreadable:
            usable[row.label].append(index)
    moved = []
    for label, indices in usable.items():
        if indices and not any(splits[index] == "train" for index in indices):
            lowest = min((deciders[index] for index in indices), key=lambda key: fraction_of(key, seed))
            # With everything that belongs to it: the same bytes, and the group.
            splits = [
                "train" if split and decider == lowest else split
                for split, decider in zip(splits, deciders, strict=True)
            ]
            moved.append(label)
    kept = [replace(row, split=split) for row, split in zip(rows, splits, strict=True)]
    notes = []
    if moved:
        notes.append(f"without a training picture, so the one with the lowest hash was moved there: {first_few(moved)}")
    return kept, [*notes, *_name_small_classes({label: [kept[i] for i in each] for label, each in usable.items()})]


def _name_small_classes(usable: dict[str, list[Row]]) -> list[str]:
    """Return what becomes of classes with few pictures, and which classes a split lacks."""
    notes, small = [], []
    for label, rows in usable.items():
        count = Counter({row.key: row.split for row in rows}.values())
        if not count:
            small.append(f"{label} (none that can be used: left out)")
        elif count.total() < _SMALL:
            places = ", ".join(f"{count[split]} in {split}" for split in SPLITS if count[split])
            small.append(f"{label} ({places})")
    if small:
        notes.append(
            f"classes with fewer than {_SMALL} pictures, which cannot be learned, chosen and judged by, so that "
            f"figures say little about them: {first_few(small)}"
        )
    for split in SPLITS[1:]:
        lacking = [label for label, rows in usable.items() if rows and all(row.split != split for row in rows)]
        if lacking:
            notes.append(f"without a {split} picture: {first_few(lacking)}")
    return notes


def _count_groups(rows: Sequence[Row], deciders: Sequence[Key]) -> str:
    """Return how many groups there are and how many pictures came into each split: the shares are of groups."""
    together = {decider for row, decider in zip(rows, deciders, strict=True) if row.group and row.split}
    count = Counter(row.split for row in rows)
    sizes = ", ".join(f"{split} {count[split]:,}" for split in SPLITS)
    return f"groups that stay together: {len(together):,}; pictures by split: {sizes}"
