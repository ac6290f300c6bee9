"""Which picture trains, which chooses, which judges.

The split of a picture follows from its content: a hash of key and seed, against fixed thresholds.
It does not change when pictures are added, and two files with the same bytes cannot be in two
splits. Split folders are honoured; where one is missing it is cut from training the same way.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence

from ..cache.part import Key
from ..cache.table import SPLITS, Split

TRAIN, VALIDATION = 0.70, 0.15


def fraction_of(key: Key, seed: int) -> float:
    """Return a number in [0, 1) that depends on the picture's bytes and the seed only.

    >>> 0 <= fraction_of(bytes(32), 0) < 1, fraction_of(bytes(32), 0) == fraction_of(bytes(32), 1)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:".encode() + key).digest()[:8]) / 2**64


def assign_splits(
    keys: Sequence[Key],
    labels: Sequence[str],
    given: Sequence[Split | None],
    *,
    seed: int,
    unreadable: Collection[Key] = (),
) -> tuple[list[Split | None], list[str]]:
    """Return the split of every picture, and what should be said about it.

    Parameters
    ----------
    keys, labels, given : sequences of length n
        Content key, class (empty for none) and the split of the folder (None for none).
    seed : int
    unreadable : collection of Key
        Pictures that cannot be decoded, so that no class can be learned from them.

    Returns
    -------
    list of length n, list of str
        None for a picture without label.
    """
    present = [split for split in SPLITS if split in set(given)]
    notes: list[str] = []
    if present == ["train", "validation"]:
        given = ["test" if split == "validation" else split for split in given]
        notes.append("no test folder: the validation folder is the test split, and 15 % of train is validation")
    elif present == ["train", "test"]:
        notes.append("no validation folder: 15 % of train is validation")
    splits: list[Split | None] = []
    for key, label, folder in zip(keys, labels, given, strict=True):
        if not label:
            splits.append(None)
        elif present in ([], ["train"]):
            splits.append(_hashed(key, seed))
        elif folder == "train" and len(present) == 2 and fraction_of(key, seed) >= 1 - VALIDATION:
            splits.append("validation")
        else:
            splits.append(folder)
    notes += _keep_keys_together(keys, splits)
    notes += _give_every_class_training(keys, labels, splits, seed=seed, unreadable=unreadable)
    return splits, notes


def _hashed(key: Key, seed: int) -> Split:
    fraction = fraction_of(key, seed)
    return "train" if fraction < TRAIN else "validation" if fraction < TRAIN + VALIDATION else "test"


def _keep_keys_together(keys: Sequence[Key], splits: list[Split | None]) -> list[str]:
    """Put a picture whose bytes lie in several splits into the last of them, so that none leaks."""
    last: dict[Key, Split] = {}
    moved = 0
    for key, split in zip(keys, splits, strict=True):
        if split and (key not in last or SPLITS.index(split) > SPLITS.index(last[key])):
            last[key] = split
    for index, (key, split) in enumerate(zip(keys, splits, strict=True)):
        if split and last[key] != split:
            splits[index] = last[key]
            moved += 1
    if not moved:
        return []
    return [f"files with the same bytes as one in a later split, kept in the later split only: {moved:,}"]


def _give_every_class_training(
    keys: Sequence[Key],
    labels: Sequence[str],
    splits: list[Split | None],
    *,
    seed: int,
    unreadable: Collection[Key],
) -> list[str]:
    """Move the picture with the lowest hash to train where a class has none; name what is missing."""
    labels_of: dict[Key, set[str]] = defaultdict(set)
    for key, label in zip(keys, labels, strict=True):
        labels_of[key].add(label)
    keys_of: dict[str, dict[Split, set[Key]]] = defaultdict(lambda: defaultdict(set))
    for key, label, split in zip(keys, labels, splits, strict=True):
        # Bytes under two labels are left out of training.
        if split and len(labels_of[key] - {""}) == 1 and key not in unreadable:
            keys_of[label][split].add(key)
    moved = []
    for label, by_split in sorted(keys_of.items()):
        if not by_split["train"]:
            lowest = min((by_split["validation"] | by_split["test"]), key=lambda key: fraction_of(key, seed))
            for index, key in enumerate(keys):
                if key == lowest and splits[index]:
                    splits[index] = "train"
            for other in SPLITS[1:]:
                by_split[other].discard(lowest)
            moved.append(label)
    notes = []
    if moved:
        notes.append(f"without a training picture, so the one with the lowest hash was moved there: {_names(moved)}")
    for split in SPLITS[1:]:
        lacking = [label for label, by_split in sorted(keys_of.items()) if not by_split[split]]
        if lacking:
            notes.append(f"without a {split} picture: {_names(lacking)}")
    return notes


def _names(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:10])
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more classes"
