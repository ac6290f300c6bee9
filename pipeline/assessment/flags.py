"""What is wrong with a run or with the data, told from what heads and controls have right.

A control is a run that must not be good: it says the most frequent class (`majority`), it learned
shuffled labels (`shuffled`), or it saw facts of the files alone (`facts`). A k-nearest-neighbour head
(`neighbours`) is none, but needs no training, so a trained head on the same features should not be far
below it. All are compared on the same pictures. Where a flag says that one is better than another, its
interval is as wide as the number of such looks asks (Bonferroni), so that chance raises one in at most
5 of 100 sound reports; a run has to be shown to be better than its controls, with a plain 95 % interval.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..statistics.comparison import ALPHA
from ..statistics.pairs import Judged, Pair, pair_runs

Role = Literal["run", "neighbours", "majority", "shuffled", "facts"]
Kind = Literal["below neighbours", "below control", "edge of grid", "not converged", "shortcut", "leak"]
FAR = 0.02
"""A difference that is shown to be greater than this is far: two points."""
_CONTROLS: dict[Role, str] = {
    "majority": "always saying the most frequent class",
    "shuffled": "a head that learned shuffled labels",
    "facts": "facts of the files alone",
}


@dataclass(frozen=True, slots=True)
class Edge:
    """A setting whose best value was the last that was tried, so a better one may lie beyond."""

    setting: str
    value: float
    side: Literal["least", "greatest"]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What is known of a run or a control."""

    judged: Judged
    role: Role = "run"
    features: str | None = None
    """Digest of the features that it learned from; None for a control that saw none."""
    converged: bool = True
    epochs: int | None = None
    """How many there were, where the last one was the best."""
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that a person should look at."""

    kind: Kind
    run: str
    sentence: str
    """Fact, expected, received, remedy."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One comparison that raises its flag where the first of the pair is shown to be better by more than a margin."""

    flag: Flag
    pair: Pair
    margin: float


def find_flags(standings: Sequence[Standing]) -> tuple[Flag, ...]:
    """Return what a person should look at, in the order of the runs.

    Parameters
    ----------
    standings : sequence of Standing
        Runs and controls, all judged on pictures of one split; at most one of each control is used.

    Raises
    ------
    InvalidRequest
        Two of them have no picture in common.
    """
    controls: dict[Role, Judged] = {}
    for each in standings:
        if each.role in _CONTROLS:
            controls.setdefault(each.role, each.judged)
    looks = [look for each in standings for look in _looks(each, standings, controls)]
    shown = [look.flag for look in looks if _lower(look.pair, 1 - ALPHA / len(looks)) > look.margin]
    found: list[Flag] = []
    for each in standings:
        found += [flag for flag in shown if flag.run == each.judged.run]
        if each.role == "run":
            found += _beaten(each.judged, controls)
        if each.role in ("run", "neighbours"):
            found += _unfinished(each)
    return tuple(found)


def _looks(each: Standing, standings: Sequence[Standing], controls: dict[Role, Judged]) -> Iterator[_Look]:
    judged = each.judged
    if each.role == "run":
        for other in standings:
            if other.role == "neighbours" and other.features is not None and other.features == each.features:
                pair = pair_runs(other.judged, judged)
                sentence = (
                    f"{judged.run} has an accuracy of {pair.other.mean():.3f} beside a k-NN of {pair.one.mean():.3f} "
                    "on the same features: expected a trained head to be no worse; look at its curve, train it "
                    "with other settings, or take another head"
                )
                yield _Look(Flag("below neighbours", judged.run, sentence), pair, FAR)
    majority = controls.get("majority")
    if majority is None or controls.get(each.role) is not judged:
        return
    pair = pair_runs(judged, majority)
    received = f"an accuracy of {pair.one.mean():.3f} where the most frequent class has {pair.other.mean():.3f}"
    if each.role == "facts":
        sentence = (
            f"facts of the files alone have {received}: expected about the same; heads may learn how the files were "
            "made instead of what they show, so bring the classes to one size, kind and quality, or collect them alike"
        )
        yield _Look(Flag("shortcut", judged.run, sentence), pair, FAR)
    if each.role == "shuffled":
        sentence = (
            f"a head that learned shuffled labels has {received}: expected no more; labels reach the judged pictures "
            "by another way, so look for copies across the splits with audit"
        )
        yield _Look(Flag("leak", judged.run, sentence), pair, 0.0)


def _beaten(run: Judged, controls: dict[Role, Judged]) -> Iterator[Flag]:
    """Yield a flag where the strongest control is not shown to be worse."""
    pairs = {role: pair_runs(run, control) for role, control in controls.items()}
    if not pairs:
        return
    role = min(pairs, key=lambda each: pairs[each].difference)
    pair = pairs[role]
    if _lower(pair, 1 - ALPHA) > 0:
        return
    verb = "is beaten by" if pair.difference < 0 else "is not shown to be better than"
    yield Flag(
        "below control",
        run.run,
        f"{run.run} {verb} {_CONTROLS[role]}: expected clearly more than {pair.other.mean():.3f}, received "
        f"{pair.one.mean():.3f} on {len(pair.one)} pictures; look at labels and features, or judge it on more pictures",
    )


def _unfinished(each: Standing) -> Iterator[Flag]:
    run = each.judged.run
    if each.epochs is not None:
        yield Flag(
            "not converged",
            run,
            f"{run} did best after the last of {each.epochs} epochs: expected its validation loss to settle before; "
            f"train it with --epochs {2 * each.epochs}",
        )
    elif not each.converged:
        yield Flag(
            "not converged",
            run,
            f"{run} was stopped before it had converged: expected its loss to settle, and it was still falling; "
            "train it with a stronger penalty",
        )
    for edge in each.edges:
        direction = "smaller" if edge.side == "least" else "greater"
        yield Flag(
            "edge of grid",
            run,
            f"{run} did best with {edge.setting} = {edge.value:g}, the {edge.side} value tried: expected the best "
            f"to have others on both sides; try {direction} values",
        )


def _lower(pair: Pair, confidence: float) -> float:
    return pair.interval(confidence=confidence)[0]
