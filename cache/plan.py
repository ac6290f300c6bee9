"""What has to be done for some images: pure arithmetic of keys."""

from collections.abc import Iterable
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
    there, unreadable = frozenset(present), frozenset(refused)
    unique = dict.fromkeys(wanted)
    return Plan(
        missing=tuple(key for key in unique if key not in there and key not in unreadable),
        present=tuple(key for key in unique if key in there),
        refused=tuple(key for key in unique if key in unreadable and key not in there),
        orphaned=there.difference(unique),
    )
