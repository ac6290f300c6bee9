"""The last words of a report: flags of runs, controls and data together, and the verdict in three sentences."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..statistics.comparison import Equivalence, format_margin
from ..units import format_points
from .controls import Control
from .costs import Cost
from .flags import Edge, Flag, Standing, find_flags
from .judgements import Judgement
from .leaks import Leaks
from .verdicts import ALIKE, By, Duel, RunFamily

LEAK = "leak: "
"""How a note about a leak begins."""
DATA = "data"
"""What a flag names that is of no run."""


def raise_flags(
    ranked: Sequence[Judgement],
    names: Mapping[str, str],
    controls: Sequence[Control],
    split: str | None,
    *,
    shortcuts: Mapping[str, Any] | None,
    leaks: Leaks | None,
    notes: Sequence[str],
) -> tuple[Flag, ...]:
    """Return what a person should look at: what is wrong with the data first, then with the runs.

    Parameters
    ----------
    ranked : sequence of Judgement
    names : mapping of str to str
        For people, by the id of the run.
    controls : sequence of Control
    split : str or None
        The judged split; without one, runs are only asked whether they are finished.
    shortcuts : mapping or None
        The probe of single facts.
    leaks : Leaks or None
    notes : sequence of str
        About the splits.
    """
    data = [Flag("leak", DATA, note) for note in notes if note.startswith(LEAK)]
    if leaks is not None and leaks.sentence is not None:
        data.append(Flag("leak", DATA, leaks.sentence))
    ids = {name: run for run, name in names.items()}
    standings = [_stand(each, names[each.run.id], split or "train") for each in ranked]
    if split is not None:
        standings = [each for each in standings if len(each.judged.keys)]
        for control in controls:
            if control.role is not None and control.ground.count(split):
                judged = control.ground.judged(control.control, control.right, split)
                digest = control.ground.inputs.digest if control.saw_features else None
                standings.append(Standing(judged, control.role, digest))
    found = find_flags(standings)
    raised = [replace(each, run=ids.get(each.run, each.run)) for each in found]
    of_controls = [_add_strongest(each, shortcuts) for each in raised if each.run not in names]
    return (*data, *of_controls, *_once_per_family([each for each in raised if each.run in names], ranked))


def _once_per_family(flags: Sequence[Flag], ranked: Sequence[Judgement]) -> Iterator[Flag]:
    """Give each kind of flag once for runs that differ in the seed alone, with how many others it is true of."""
    family = {each.run.id: each.likeness for each in ranked}
    alike: dict[tuple[str, str], list[Flag]] = {}
    for each in flags:
        alike.setdefault((each.kind, family[each.run]), []).append(each)
    for first, *others in alike.values():
        more = f" (the same of other seeds: {len(others)})" if others else ""
        yield replace(first, sentence=f"{first.sentence}{more}")


def _stand(judgement: Judgement, name: str, split: str) -> Standing:
    record = judgement.run.record
    return Standing(
        judgement.judged(name, split),
        features=judgement.ground.inputs.digest,
        converged=_has_converged(record),
        epochs=_last_epoch(record),
        edges=tuple(_edges(record)),
    )


def _last_epoch(record: Mapping[str, Any]) -> int | None:
    """Return how many epochs were trained, where validation liked the last one best."""
    epochs, held_out = record["settings"].get("epochs"), record["metrics"]["validation"]["images"]
    best = record["found"].get("best_epoch") if held_out and not record.get("folds") else None
    return epochs if epochs is not None and best == epochs else None


def _has_converged(record: Mapping[str, Any]) -> bool:
    found = record["found"]
    if "converged" in found:
        return bool(found["converged"])
    return all(point.get("converged", True) for point in found.get("path", []) if point.get("c") == found.get("c"))


def _edges(record: Mapping[str, Any]) -> list[Edge]:
    """Return the settings whose best value was the last one tried."""
    found = record["found"]
    path = found.get("path", [])
    if len(path) < 2:
        return []
    setting = next(iter(path[0]))
    tried, chosen = sorted(point[setting] for point in path), found[setting]
    # Runs of an earlier format do not say it.
    side: Any = found["edge"] if "edge" in found else {tried[0]: "least", tried[-1]: "greatest"}.get(chosen)
    return [] if side is None else [Edge(setting, chosen, side)]


def _add_strongest(flag: Flag, shortcuts: Mapping[str, Any] | None) -> Flag:
    """Name the fact that tells the class best, in the flag of the shortcut."""
    if flag.kind != "shortcut" or shortcuts is None or shortcuts["strongest"] is None:
        return flag
    alone = next(each for each in shortcuts["facts"] if each["fact"] == shortcuts["strongest"])
    told = f"the strongest alone is {alone['fact']}, with a balanced accuracy of {alone['balanced_accuracy']:.3f}"
    return replace(flag, sentence=f"{flag.sentence}; {told}")


def conclude(
    ranked: Sequence[Judgement],
    names: Mapping[str, str],
    split: str | None,
    *,
    seeds: Sequence[RunFamily],
    duels: Sequence[Duel],
    equivalences: Sequence[tuple[Equivalence, By]],
    costs: Mapping[str, Cost],
    flags: Sequence[Flag],
) -> tuple[str, ...]:
    """Return up to three sentences: which is best and how good, how sure that is, what to look at."""
    sentences = [_name_best(ranked[0], names, split, seeds)]
    if duels:
        sentences.append(_tell_sureness(names, duels, equivalences, costs))
    elif len(ranked) == 1:
        sentences.append("It is the only run, so there is nothing to compare it with")
    if flags:
        kinds = Counter(each.kind for each in flags)
        several = "1 flag asks" if len(flags) == 1 else f"{len(flags)} flags ask"
        told = ", ".join(kind if count == 1 else f"{kind} ({count})" for kind, count in kinds.items())
        sentences.append(f"{several} for a look: {told}")
    elif split is not None:
        sentences.append("No flag is raised")
    return tuple(sentences)


def _name_best(best: Judgement, names: Mapping[str, str], split: str | None, seeds: Sequence[RunFamily]) -> str:
    name, metrics = names[best.run.id], best.run.record["metrics"]
    validation, test = metrics["validation"], metrics["test"]
    if not validation["images"]:
        start = f"No run is best, since there is no validation picture; {name}"
        start += " stands first"
    else:
        start = f"{name} is best by validation, with {validation['accuracy']:.1%} there"
    if test["images"]:
        low, high = (f"{100 * end:.1f}" for end in test["accuracy_interval"])
        start += f" and {test['accuracy']:.1%} [{low}, {high}] on {test['images']:,} test pictures"
    own = next((each for each in seeds if each.family == best.run.id and split == "test"), None)
    return start if own is None else f"{start}; over {len(own.members)} seeds {own.mean:.1%}"


def _tell_sureness(
    names: Mapping[str, str],
    duels: Sequence[Duel],
    equivalences: Sequence[tuple[Equivalence, By]],
    costs: Mapping[str, Cost],
) -> str:
    compared = [each.comparison for each in duels if each.comparison.verdict != "seed only"]
    good = next(((each, by) for each, by in equivalences if each.good_enough and _saves(each, by, costs)), None)
    if good is not None:
        verdict, by = good
        within = f"is as good within {format_margin(verdict.margin)}"
        return f"{names[verdict.cheaper]} {within}, and {_saving(verdict, by, costs)}"
    lost = [each for each in compared if each.verdict == "worse"]
    if lost:
        return f"On the judged pictures {names[lost[0].other]} is better: {lost[0].sentence}"
    if not compared:
        return "The other runs have the same settings, so no difference is claimed"
    open_ = [each for each in compared if each.verdict == "no difference shown"]
    count = len(compared)
    if not open_:
        closest = min(compared, key=lambda each: each.difference)
        others = "the other" if count == 1 else f"all {count} others"
        return f"It is shown to be better than {others}; the closest: {closest.sentence}"
    most = max(max(abs(end) for end in each.family_interval) for each in open_)
    if len(open_) == count:
        others = f"and {names[open_[0].other]}" if count == 1 else f"and any of the {count} others"
        return f"No difference between it {others} is shown: there may be none, or up to {format_points(most)} points"
    return (
        f"It is shown to be better than {count - len(open_)} of {count} others; from the rest, such as "
        f"{names[open_[0].other]}, no difference is shown: there may be none, or up to {format_points(most)} points"
    )


def _saves(verdict: Equivalence, by: By, costs: Mapping[str, Cost]) -> bool:
    little, much = (getattr(costs[run], by) for run in (verdict.cheaper, verdict.dearer))
    return bool(little < much * (1 - ALIKE))


def _saving(verdict: Equivalence, by: By, costs: Mapping[str, Cost]) -> str:
    little, much = (getattr(costs[run], by) for run in (verdict.cheaper, verdict.dearer))
    if by == "bytes":
        return f"takes {little / 1e6:,.1f} MB instead of {much / 1e6:,.1f}"
    return f"takes {little:,.1f} ms a picture instead of {much:,.1f}"
