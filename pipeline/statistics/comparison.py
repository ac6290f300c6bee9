"""Which of two runs is better, on the pictures that both judged; and whether the cheaper one is good enough.

Pictures that both have right, or both wrong, say nothing about the difference; so runs are compared
picture by picture, which tells apart runs whose own intervals overlap widely (Dietterich 1998).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidRequest
from ..units import format_points
from .intervals import Interval
from .pairs import Judged, Pair, pair_runs
from .significance import holm, holm_multipliers, mcnemar

ALPHA = 0.05
"""A family of comparisons claims a difference where there is none this often at most."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run against another, as part of a family of comparisons."""

    one: str
    other: str
    images: int
    """How many pictures both judged."""
    accuracy_one: float
    accuracy_other: float
    difference: float
    """Accuracy of one minus that of the other, 0..1."""
    interval: Interval
    """95 %, of this comparison alone."""
    family_interval: Interval
    """As wide as the number of comparisons asks; it holds 0 exactly where no run is called better."""
    p: float
    """Exact McNemar test; of groups, the exact test of signs."""
    p_adjusted: float
    """By Holm, over the family; equal to p where the seed alone differs."""
    verdict: Literal["better", "worse", "no difference shown", "seed only"]
    """Of one."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval), "family_interval": list(self.family_interval)}


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether a cheaper run is as good as a dearer one, but for a margin."""

    cheaper: str
    dearer: str
    images: int
    margin: float
    """How much worse is still good enough, 0..1."""
    difference: float
    """Accuracy of the cheaper minus that of the dearer."""
    interval: Interval
    """90 %: both its ends are one-sided tests at 5 %."""
    good_enough: bool
    """The cheaper one is not worse by the margin: the interval lies above -margin."""
    equivalent: bool
    """Neither is better by the margin: the interval lies between -margin and +margin (Schuirmann 1987)."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def compare_runs(runs: Sequence[Judged], *, reference: str | None = None) -> list[Comparison]:
    """Return every pair of runs compared, or one run with each other one.

    A run is called better where two things agree: its p, adjusted by Holm for the number of comparisons,
    is below 0.05, and the interval of the difference, widened by the same number, lies on its side of 0.
    Where they disagree, no difference is shown, and the interval given is extended to 0. Runs that differ
    in the seed alone are never called better and do not count as comparisons.

    Parameters
    ----------
    runs : sequence of Judged
        With different names.
    reference : str, optional
        Name of the run that the others are compared with; it is `one`.

    Raises
    ------
    InvalidRequest
        Two runs have no picture in common, or the reference is not among them.
    """
    if reference is None:
        pairs = list(combinations(runs, 2))
    else:
        first = [run for run in runs if run.run == reference]
        if not first:
            names = ", ".join(run.run for run in runs)
            raise InvalidRequest(f"no run is called {reference!r}: expected one of {names or 'none'}")
        pairs = [(first[0], run) for run in runs if run.run != reference]
    paired = [pair_runs(one, other) for one, other in pairs]
    p = np.array([mcnemar(each.one, each.other, groups=each.groups) for each in paired])
    by_luck = np.array([one.settings is not None and one.settings == other.settings for one, other in pairs], bool)
    adjusted, factors = p.copy(), np.ones(len(p), dtype=np.int64)
    adjusted[~by_luck], factors[~by_luck] = holm(p[~by_luck]), holm_multipliers(p[~by_luck])
    return [
        _compare(one.run, other.run, pair, (float(p[i]), float(adjusted[i]), int(factors[i])), bool(by_luck[i]))
        for i, ((one, other), pair) in enumerate(zip(pairs, paired, strict=True))
    ]


def judge_equivalence(cheaper: Judged, dearer: Judged, *, margin: float = 0.01) -> Equivalence:
    """Return whether the cheaper run is good enough: at most `margin` worse, shown at 5 %.

    Parameters
    ----------
    margin : float
        0..1; 0.01 is one point. To be chosen before looking.

    Raises
    ------
    InvalidRequest
        The runs have no picture in common.
    """
    pair = pair_runs(cheaper, dearer)
    low, high = interval = pair.interval(confidence=1 - 2 * ALPHA)
    names = f"{cheaper.run} is as good as {dearer.run} within {format_margin(margin)}"
    if low > -margin:
        sentence = names
    elif high < -margin:
        sentence = f"{cheaper.run} is worse than {dearer.run} by more than {format_margin(margin)}"
    else:
        sentence = f"it is not shown that {names}: it may be {format_points(-low)} points worse"
    return Equivalence(
        cheaper=cheaper.run,
        dearer=dearer.run,
        images=len(pair.one),
        margin=margin,
        difference=pair.difference,
        interval=interval,
        good_enough=low > -margin,
        equivalent=low > -margin and high < margin,
        sentence=sentence,
    )


def accuracy_difference(
    labels: NDArray[np.int32],
    one: NDArray[np.int32],
    other: NDArray[np.int32],
    *,
    groups: NDArray[np.int64] | None = None,
) -> tuple[float, Interval]:
    """Return the accuracy of one minus that of the other on the same pictures, and its 95 % interval.

    Parameters
    ----------
    labels, one, other : ndarrays of shape (n,), int32
        True classes, and those that two heads predict; n is at least 1.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number belong together.
    """
    pair = Pair(one == labels, other == labels, groups)
    return pair.difference, pair.interval()


def _compare(one: str, other: str, pair: Pair, p: tuple[float, float, int], by_luck: bool) -> Comparison:
    raw, adjusted, factor = p
    low, high = pair.interval(confidence=1 - ALPHA / factor)
    shown = not by_luck and adjusted < ALPHA and (low > 0 or high < 0)
    if not shown:
        low, high = min(low, 0.0), max(high, 0.0)
    verdict: Literal["better", "worse", "no difference shown", "seed only"]
    if by_luck:
        verdict = "seed only"
        sentence = (
            f"{one} and {other} have the same settings: {format_points(abs(pair.difference))} points between them "
            "are luck of training"
        )
    elif shown:
        verdict = "better" if low > 0 else "worse"
        winner, loser = (one, other) if low > 0 else (other, one)
        least, most = (low, high) if low > 0 else (-high, -low)
        sentence = (
            f"{winner} is better than {loser} by {format_points(abs(pair.difference))} points "
            f"[{format_points(least)}, {format_points(most)}]"
        )
    else:
        verdict = "no difference shown"
        sentence = (
            f"no difference between {one} and {other} is shown: "
            f"between {format_points(low, sign=True)} and {format_points(high, sign=True)} points"
        )
    return Comparison(
        one=one,
        other=other,
        images=len(pair.one),
        accuracy_one=float(pair.one.mean()),
        accuracy_other=float(pair.other.mean()),
        difference=pair.difference,
        interval=pair.interval(),
        family_interval=(low, high),
        p=raw,
        p_adjusted=adjusted,
        verdict=verdict,
        sentence=sentence,
    )


def format_margin(margin: float) -> str:
    """Return a margin, 0..1, in points."""
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"
