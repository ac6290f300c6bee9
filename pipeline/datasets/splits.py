"""Which picture trains, which chooses, which judges.

The split of a picture follows from its content: a hash of key (or group) and seed, against fixed
thresholds. It does not change when pictures are added, and two files with the same bytes, or of
the same group, cannot be in two splits. Given splits are honoured; where one is missing it is cut
from training the same way.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from ...cache.part import Key
from ...cache.table import SPLITS, Row, Split
from .groups import bind, name_shared_bytes, name_straddling_groups
from .labelling import USUAL_SHARES, Shares, format_shares
from .labels import first_few
from .sampling import draw_sample

_SMALL = 3
Given = Split | Literal[""]


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
    splits = _keep_keys_together(rows, cut)
    notes += name_shared_bytes(rows, cut, splits)
    notes += name_straddling_groups(rows, splits)
    if limit:
        sample = draw_sample(rows, limit, seed=seed)
        total = len({row.key for row in rows})
        if len(sample) < total:
            notes.append(f"a sample of {len(sample):,} of {total:,} distinct pictures; --limit 0 takes all")
        chosen = [index for index, row in enumerate(rows) if row.key in sample]
        rows = [rows[index] for index in chosen]
        splits = [splits[index] for index in chosen]
        deciders = [deciders[index] for index in chosen]
    usable = _usable(rows, unreadable)
    splits, said = _give_every_class_training(splits, deciders, usable, seed=seed)
    kept = [Row(row.path, row.key, row.label, split, row.group) for row, split in zip(rows, splits, strict=True)]
    notes += [*said, *_name_small_classes({label: [kept[index] for index in each] for label, each in usable.items()})]
    if any(row.group for row in kept):
        notes.append(_count_groups(kept, deciders))
    return kept, notes


def _complete_given(rows: Sequence[Row], shares: Shares | None) -> tuple[list[Given], list[str]]:
    """Return the given splits as they are meant, empty without a label, and what should be said about them."""
    given: list[Given] = [row.split if row.label else "" for row in rows]
    found = set(given)
    present = [split for split in SPLITS if split in found]
    notes = []
    if unlabelled := [split for split in SPLITS if split not in found and any(row.split == split for row in rows)]:
        notes.append(f"given splits without any label, so that nothing is measured on them: {', '.join(unlabelled)}")
    bare = [index for index, row in enumerate(rows) if row.label and not row.split] if present else []
    if bare:
        notes.append(f"pictures without a split beside others that have one, taken as train: {len(bare):,}")
        for index in bare:
            given[index] = "train"
        present = [split for split in SPLITS if split in {*present, "train"}]
    share = f"{(shares or USUAL_SHARES)[1]:g} %"
    if present == ["train", "validation"]:
        given = ["test" if split == "validation" else split for split in given]
        notes.append(
            f"no test split is given: the validation split is the test split, and {share} of train is validation"
        )
    elif present == ["train", "test"]:
        notes.append(f"no validation split is given: {share} of train is validation")
    elif shares and len(present) == len(SPLITS):
        notes.append(f"--split {format_shares(shares)} changes nothing: train, validation and test are given")
    if not present:
        given = ["train" if row.label else "" for row in rows]
    return given, notes


def _split_by_hash(given: Sequence[Given], deciders: Sequence[Key], *, seed: int, shares: Shares) -> list[Given]:
    """Return the splits: as given, or by the hash of what decides where train is all that is given."""
    present = set(given) - {""}
    train, validation, _ = (share / 100 for share in shares)
    cut: list[Given] = []
    for split, decider in zip(given, deciders, strict=True):
        if split != "train" or len(present) == len(SPLITS):
            cut.append(split)
            continue
        fraction = fraction_of(decider, seed)
        if present == {"train"}:
            cut.append("train" if fraction < train else "validation" if fraction < train + validation else "test")
        else:
            cut.append("validation" if fraction >= 1 - validation else "train")
    return cut


def _keep_keys_together(rows: Sequence[Row], splits: Sequence[Given]) -> list[Given]:
    """Put a picture whose bytes lie in several splits into the last of them, so that none leaks."""
    last: dict[Key, Split] = {}
    for row, split in zip(rows, splits, strict=True):
        if split and (row.key not in last or SPLITS.index(split) > SPLITS.index(last[row.key])):
            last[row.key] = split
    return [split and last[row.key] for row, split in zip(rows, splits, strict=True)]


def _usable(rows: Sequence[Row], unreadable: Collection[Key]) -> dict[str, list[int]]:
    """Return, for every class, which rows it can be learned from."""
    label_of: dict[Key, str] = {}
    # Bytes under two labels are left out of training.
    clashing = {row.key for row in rows if row.label and label_of.setdefault(row.key, row.label) != row.label}
    usable: dict[str, list[int]] = {label: [] for label in sorted({row.label for row in rows})}
    for index, row in enumerate(rows):
        if row.key not in clashing and row.key not in unreadable:
            usable[row.label].append(index)
    usable.pop("", None)
    return usable


def _give_every_class_training(
    splits: list[Given], deciders: Sequence[Key], usable: dict[str, list[int]], *, seed: int
) -> tuple[list[Given], list[str]]:
    """Move what has the lowest hash to train where a class has none there; name such classes."""
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
    if not moved:
        return splits, []
    return splits, [f"without a training picture, so the one with the lowest hash was moved there: {first_few(moved)}"]


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
