"""What a picture's name and place say about it: its label, its group, its given split.

Also the guess which part of a name could be the label, where no folder is.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ...cache.table import Split
from .labelling import Labelling

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_MOST_SHOWN = 5
# What stands before a number comes first; what stands before a mark is the weaker sign.
_CANDIDATES = (
    r"^(.+)\.\d+\.",
    r"^(.+)_\d+\.",
    r"^(.+)-\d+\.",
    r"^(.+?) ?\(\d+\)\.",
    r"^(.+) \d+\.",
    r"^(.*[^\W\d_])\d+\.",
    r"^([^._-]+)[._-].+\.",
)


@dataclass(frozen=True, slots=True)
class Found:
    """One picture file, not yet opened."""

    path: str
    """Relative to the root, with forward slashes."""
    label: str
    """Name of the class; empty where there is none."""
    split: Split | None
    """From a split folder, or from the table."""
    group: str = ""
    """Pictures of one group belong into one split; empty where there is none."""


def label_of(name: str, folders: Sequence[str], labelling: Labelling) -> str:
    """Return the label that a picture's file name or its folders say; empty for none.

    `folders` are those above the picture, without a split folder.

    >>> label_of("cat.0.jpg", [], Labelling(label_pattern=r"^(.+)\\.\\d+\\."))
    'cat'
    >>> label_of("0.jpg", ["lab", "cats"], Labelling(label_level=2))
    'cats'
    """
    if labelling.label_pattern:
        return _captured(labelling.label_pattern, name, "label")
    level = labelling.label_level or 1
    return folders[level - 1] if len(folders) >= level else ""


def group_of(path: str, labelling: Labelling) -> str:
    """Return the group that a picture's path says; empty for none.

    >>> group_of("cats/patient-7/x.jpg", Labelling(group_pattern=r"patient-(\\d+)"))
    '7'
    """
    return _captured(labelling.group_pattern, path, "group") if labelling.group_pattern else ""


def offer_pattern(paths: Iterable[str]) -> str | None:
    """Return the option that takes labels from the names, with what it finds; None where no names look so.

    >>> offer_pattern(["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"])
    "the names look as if they carry labels (cat: 2, dog: 2): --label-pattern '^(.+)\\\\.\\\\d+\\\\.' takes them"
    >>> offer_pattern(["IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg"])
    """
    names = [PurePosixPath(path).name for path in paths]
    for pattern in _CANDIDATES:
        labels = Counter(filter(None, (_captured(pattern, name, "label") for name in names)))
        # Labels are words, not dates; most names have one; and each stands for more than one picture.
        words = all(re.search(r"[^\W\d_]", label) for label in labels)
        if len(labels) >= 2 and words and labels.total() * 2 >= len(names) and len(labels) * 2 <= labels.total():
            common = [f"{label}: {count:,}" for label, count in labels.most_common()]
            return (
                f"the names look as if they carry labels ({first_few(common)}): "
                f"--label-pattern {shlex.quote(pattern)} takes them"
            )
    return None


def first_few(words: Sequence[str]) -> str:
    """Return the first words of a long list, and how many more there are.

    >>> first_few(["a", "b"]), first_few(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    shown = ", ".join(words[:_MOST_SHOWN])
    return shown if len(words) <= _MOST_SHOWN else f"{shown} and {len(words) - _MOST_SHOWN:,} more"


def _captured(pattern: str, text: str, name: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        return ""
    return match[name if name in match.re.groupindex else 1] or ""
