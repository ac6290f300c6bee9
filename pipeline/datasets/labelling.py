"""How labels, groups and splits are found: what is asked for, and what a data set remembers.

Light, so that the command line can use it without loading anything.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InvalidRequest

Shares = tuple[float, float, float]
USUAL_SHARES: Shares = (70.0, 15.0, 15.0)
_OPTIONS = {
    "label_level": "--label-level",
    "label_pattern": "--label-pattern",
    "shares": "--split",
    "group": "--group",
    "group_pattern": "--group-pattern",
    "limit": "--limit",
}
_USUAL: dict[str, Any] = {"label_level": 1, "shares": USUAL_SHARES, "limit": 0}
# A label, and a group, is read in one place; asking for one ends the other.
_RIVALS = (("label_level", "label_pattern"), ("group", "group_pattern"))


@dataclass(frozen=True, slots=True)
class Labelling:
    """How labels, groups and splits are found. None: as the data set has it, else as usual.

    Raises
    ------
    InvalidRequest
        A pattern is no regular expression with one group, the shares do not add up to 100, a
        number is out of range, or two settings contradict each other.
    """

    label_level: int | None = None
    """Which folder names the label, counted from 1 at the top (below split folders); usually 1."""
    label_pattern: str | None = None
    """Regular expression, searched in the file's name; its group is the label. "" for none."""
    shares: Shares | None = None
    """Of train, validation and test, in percent; usually 70, 15, 15."""
    group: str | None = None
    """Column of the table that names the group. "" for none."""
    group_pattern: str | None = None
    """Regular expression, searched in the path; its group is the picture's group. "" for none."""
    limit: int | None = None
    """Distinct pictures in the sample; 0 for all."""

    def __post_init__(self) -> None:
        if self.label_level is not None and self.label_level < 1:
            raise InvalidRequest(f"expected a level from 1 (the first folder), found --label-level {self.label_level}")
        if self.limit is not None and self.limit < 0:
            raise InvalidRequest(f"expected a number of pictures, or 0 for all, found --limit {self.limit}")
        if self.shares is not None:
            _check_shares(self.shares)
        _check_pattern("label", self.label_pattern)
        _check_pattern("group", self.group_pattern)
        for one, other in _RIVALS:
            if getattr(self, one) and getattr(self, other):
                raise InvalidRequest(
                    f"{_OPTIONS[one]} and {_OPTIONS[other]} contradict each other: a {one.partition('_')[0]} "
                    "is read in one place, leave out one of them"
                )

    def over(self, earlier: "Labelling") -> "Labelling":
        """Return these settings, and the earlier ones where nothing is asked for; the usual is None.

        >>> Labelling(limit=50).over(Labelling(label_level=2, limit=9))
        Labelling(label_level=2, label_pattern=None, shares=None, group=None, group_pattern=None, limit=50)
        >>> Labelling(label_pattern="^(.)").over(Labelling(label_level=2)).label_level is None
        True
        """
        asked = {name: value for name, value in asdict(self).items() if value is not None}
        merged = asdict(earlier) | asked
        for one, other in (*_RIVALS, *(pair[::-1] for pair in _RIVALS)):
            if one in asked and other not in asked:
                merged[other] = None
        return Labelling(**{name: _unless_usual(name, value) for name, value in merged.items()})

    def to_json(self) -> dict[str, Any]:
        """Return what a data set keeps: the settings that are not as usual."""
        return {name: value for name, value in asdict(Labelling().over(self)).items() if value is not None}

    def to_options(self) -> list[str]:
        """Return the settings that are not as usual as words of a command line."""
        kept = self.to_json()
        words = {**kept, "shares": format_shares(self.shares)} if self.shares and "shares" in kept else kept
        return [word for name, value in words.items() for word in (_OPTIONS[name], str(value))]

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Labelling":
        """Return the settings that `to_json` gave; TypeError where it is something else."""
        shares = {"shares": tuple(kept["shares"])} if "shares" in kept else {}
        return cls(**{**kept, **shares})

    def changes_from(self, earlier: "Labelling") -> list[str]:
        """Return every setting that is not what it was, as an option with its earlier value."""
        return [
            f"{option} {_shown(name, getattr(self, name))} (before: {_shown(name, getattr(earlier, name))})"
            for name, option in _OPTIONS.items()
            if getattr(self, name) != getattr(earlier, name)
        ]


def parse_shares(text: str) -> Shares:
    """Return the shares that a text such as 70/15/15 says.

    >>> parse_shares("80/10/10")
    (80.0, 10.0, 10.0)
    """
    try:
        train, validation, test = map(float, text.split("/"))
    except ValueError:
        raise InvalidRequest(
            f"expected the percentages of train, validation and test such as 70/15/15, found {text}"
        ) from None
    return train, validation, test


def format_shares(shares: Shares) -> str:
    """Return shares as they are typed.

    >>> format_shares((70.0, 17.5, 12.5))
    '70/17.5/12.5'
    """
    return "/".join(f"{share:g}" for share in shares)


def _check_shares(shares: Shares) -> None:
    numbers = len(shares) == 3 and all(math.isfinite(share) and share >= 0 for share in shares)
    if not numbers or not shares[0] or not math.isclose(sum(shares), 100, abs_tol=1e-6):
        raise InvalidRequest(
            "expected the percentages of train, validation and test, which add up to 100 and leave something to train "
            f"on, such as 70/15/15, found {'/'.join(f'{share:g}' for share in shares)}"
        )


def _check_pattern(name: str, pattern: str | None) -> None:
    if not pattern:
        return
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidRequest(
            f"--{name}-pattern {pattern} is no regular expression: {error}; expected one such as '^([^_]+)_'"
        ) from error
    if compiled.groups != 1 and name not in compiled.groupindex:
        raise InvalidRequest(
            f"--{name}-pattern {pattern} has {compiled.groups} groups: expected one in round brackets that is the "
            f"{name}, such as '^([^_]+)_', or one called {name}, such as '^(?P<{name}>[^_]+)_'"
        )


def _unless_usual(name: str, value: Any) -> Any:
    return None if value in ("", _USUAL.get(name)) else value


def _shown(name: str, value: Any) -> str:
    """Return a value as it is typed, and what None stands for."""
    value = _USUAL.get(name) if value is None else value
    if name == "limit":
        return str(value or "0, all")
    if name == "shares":
        return format_shares(value)
    return shlex.quote(str(value)) if value else "none"


AS_USUAL = Labelling()
