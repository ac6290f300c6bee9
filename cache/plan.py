"""What has to be done for some pictures: pure arithmetic of keys."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from .part import Key


@dataclass(frozen=True, slots=True)
class Plan:
    """The keys of a data set and of a feature set, divided; each key stands once, in one of them."""

    missing: tuple[Key, ...]
    """Wanted, not there: to be extracted, in the order asked."""
    present: tuple[Key, ...]
    """Wanted and there."""
    refused: tuple[Key, ...]
    """Wanted, but known to be unreadable."""
    orphaned: frozenset[Key]
    """There, but not wanted here; of another data set, or of pictures that have gone."""


def plan_extraction(wanted: Iterable[Key], present: Iterable[Key], refused: Iterable[Key] = ()) -> Plan:
    """Return what is missing, present, refused and orphaned, each once.

    >>> plan_extraction([b"b", b"a", b"b", b"c"], present=[b"a", b"d"], refused=[b"c"])
    Plan(missing=(b'b',), present=(b'a',), refused=(b'c',), orphaned=frozenset({b'd'}))
    """
    # A million keys pass here: sets are taken as they are, and each key is looked up once.
    there = present if isinstance(present, Set) else frozenset(present)
    unreadable = refused if isinstance(refused, Set) else frozenset(refused)
    missing, here, lost = [], [], []
    unique = dict.fromkeys(wanted)
    for key in unique:
        if key in there:
            here.append(key)
        elif key in unreadable:
            lost.append(key)
        else:
            missing.append(key)
    orphaned = frozenset() if len(here) == len(there) else frozenset(there - unique.keys())
    return Plan(tuple(missing), tuple(here), tuple(lost), orphaned)
