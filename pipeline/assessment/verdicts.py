"""What follows from the judgements: who is better than whom, what choosing cost, whether a cheaper one would do.

Runs of the same settings are one family, which the seed tells apart. The best by validation is compared with one run of
each other family, so that seeds do not multiply the comparisons, and with its own seeds, of which
none is called better.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from ..runs.rendering import describe_settings
from ..statistics.comparison import Comparison, Equivalence, compare_runs, judge_equivalence
from ..statistics.intervals import Interval
from ..statistics.seeds import SeedDifference, compare_seeds, separate_seeds
from ..statistics.selection import ExpectedOptimism, Optimism, expect_optimism, measure_optimism
from .costs import Cost
from .judgements import Judgement

By = Literal["milliseconds", "bytes"]
ALIKE = 0.05
"""Costs that differ by less are alike."""


@dataclass(frozen=True, slots=True)
class RunFamily:
    """Runs that differ only in the seed."""

    family: str
    """Id of its first run by rank."""
    name: str
    members: tuple[str, ...]
    """Ids, the first by rank first."""
    images: int
    mean: float
    """Accuracy on the judged split, 0..1."""
    interval: Interval
    """95 %, over all seeds and all such pictures."""
    between_seeds: float | None
    test_sample: float
    validation: float | None
    """Mean accuracy on validation."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "members": list(self.members), "interval": list(self.interval)} | {
            "runs": len(self.members)
        }


@dataclass(frozen=True, slots=True)
class Duel:
    """The best against another run."""

    comparison: Comparison
    over_seeds: SeedDifference | None
    """Of the settings, where both were trained with several seeds."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        over_seeds = None if self.over_seeds is None else self.over_seeds.to_json()
        return {**self.comparison.to_json(), "over_seeds": over_seeds}


def group_families(ranked: Sequence[Judgement]) -> dict[str, list[Judgement]]:
    """Return the runs by family, under the id of its first run, in the order of the ranking."""
    first: dict[str, str] = {}
    families: dict[str, list[Judgement]] = defaultdict(list)
    for each in ranked:
        families[first.setdefault(each.likeness, each.run.id)].append(each)
    return dict(families)


def name_runs(families: Mapping[str, Sequence[Judgement]]) -> dict[str, str]:
    """Return a name for people of every run, by its id, no two alike."""
    short, long = {}, {}
    for family, members in families.items():
        record = members[0].run.record
        short[family] = f"{record['inputs']}+{record['head']}"
        settings = describe_settings(record, seed=False)
        long[family] = f"{short[family]} ({settings})" if settings else short[family]
    shorts, longs = Counter(short.values()), Counter(long.values())
    names = {}
    for family, members in families.items():
        name = short[family] if shorts[short[family]] == 1 else long[family]
        seeds = Counter(each.run.record["seed"] for each in members)
        for each in members:
            run, seed = each.run.id, each.run.record["seed"]
            plain = name if shorts[short[family]] == 1 or longs[name] == 1 else run
            twin = f" ({run})" if seeds[seed] > 1 else ""
            names[run] = plain if len(members) == 1 else f"{plain} seed {seed}{twin}"
    return names


def separate_families(
    families: Mapping[str, Sequence[Judgement]], names: Mapping[str, str], split: str
) -> tuple[RunFamily, ...]:
    """Return the families of several runs, in the order of the ranking."""
    found = []
    for family, members in families.items():
        ground = members[0].ground
        distinct = _one_per_seed(members)
        if len(distinct) < 2 or ground.count(split) < 2:
            continue
        seeds = separate_seeds(_rows(distinct, split), groups=ground.grouping(split))
        validation = [each.accuracy("validation") for each in members]
        known = [each for each in validation if each is not None]
        name = names[family].rpartition(" seed ")[0]
        found.append(
            RunFamily(
                family=family,
                name=name,
                members=tuple(each.run.id for each in members),
                images=seeds.images,
                mean=seeds.mean,
                interval=seeds.interval,
                between_seeds=seeds.between_seeds,
                test_sample=seeds.test_sample,
                validation=float(np.mean(known)) if known else None,
                sentence=f"{name}: {seeds.sentence}",
            )
        )
    return tuple(found)


def compare_with_best(
    families: Mapping[str, Sequence[Judgement]], names: Mapping[str, str], split: str
) -> tuple[Duel, ...]:
    """Return the first run against one run of each other family, and against its own seeds.

    Of a family of several seeds it is the one of the least seed that is compared, since the best of
    them would be so by luck.
    """
    (best, *siblings), *others = families.values()
    rivals = [min(members, key=lambda each: each.run.record["seed"]) for members in others]
    chosen = [best, *rivals, *siblings]
    judged = [each.judged(names[each.run.id], split) for each in chosen]
    if not len(judged[0].keys):
        return ()
    # Runs on features of other pictures may have none in common with it.
    there = [at for at in range(1, len(chosen)) if np.isin(judged[at].keys, judged[0].keys).any()]
    compared = compare_runs([judged[0], *(judged[at] for at in there)], reference=judged[0].run)
    distinct = [_one_per_seed(members) for members in families.values()]
    several = {members[0].likeness: members for members in distinct if len(members) > 1}
    own = several.get(best.likeness)
    duels = []
    for at, comparison in zip(there, compared, strict=True):
        rival, over_seeds = several.get(chosen[at].likeness), None
        if own and rival and rival is not own and rival[0].ground.digest == best.ground.digest:
            groups = best.ground.grouping(split)
            over_seeds = compare_seeds(_rows(own, split), _rows(rival, split), groups=groups)
        duels.append(Duel(replace(comparison, one=best.run.id, other=chosen[at].run.id), over_seeds))
    return tuple(duels)


def find_cheaper(
    ranked: Sequence[Judgement], costs: Mapping[str, Cost], names: Mapping[str, str], split: str, *, margin: float
) -> tuple[tuple[Equivalence, By], ...]:
    """Return each run that is as cheap as the best or cheaper, and whether it is good enough; the cheapest first.

    Parameters
    ----------
    ranked : sequence of Judgement
        The best first.
    costs : mapping of str to Cost
        By the id of the run.
    names : mapping of str to str
    split : str
    margin : float
        How much worse is still good enough, 0..1.
    """
    by = cheapness(list(costs.values()))
    best = ranked[0]
    cost = {run: getattr(each, by) for run, each in costs.items()}
    most = cost[best.run.id]
    if most is None or not best.ground.count(split):
        return ()
    found = []
    for each in sorted(ranked[1:], key=lambda each: cost[each.run.id] or 0):
        of_each = cost[each.run.id]
        known = of_each is not None and of_each <= most * (1 + ALIKE)
        if known and each.likeness != best.likeness and each.ground.count(split):
            sides = [one.judged(names[one.run.id], split) for one in (each, best)]
            verdict = judge_equivalence(sides[0], sides[1], margin=margin)
            found.append((replace(verdict, cheaper=each.run.id, dearer=best.run.id), by))
    return tuple(found)


def cheapness(costs: Sequence[Cost]) -> By:
    """Return by what runs are called cheaper: milliseconds per picture where all are known, else bytes."""
    return "milliseconds" if all(each.milliseconds is not None for each in costs) else "bytes"


def find_front(ranked: Sequence[Judgement], costs: Mapping[str, Cost], split: str) -> tuple[str, ...]:
    """Return the ids of runs to which no other is at least as good and cheaper; the cheapest first."""
    by = cheapness(list(costs.values()))
    known = [
        (getattr(costs[each.run.id], by), -accuracy, each.run.id)
        for each in ranked
        if (accuracy := each.accuracy(split)) is not None and getattr(costs[each.run.id], by) is not None
    ]
    front, best = [], np.inf
    for _, loss, run in sorted(known):
        if loss < best:
            front.append(run)
            best = loss
    return tuple(front)


def measure_choice(
    ranked: Sequence[Judgement], names: Mapping[str, str]
) -> tuple[Optimism | None, ExpectedOptimism | None]:
    """Return what choosing by validation cost, as test shows it and as it is expected beforehand."""
    best = ranked[0]
    ground = best.ground
    if ground.count("validation") < 2:
        return None, None
    measured = None
    if ground.count("test"):
        measured = measure_optimism(
            best.right[ground.where("validation")],
            best.right[ground.where("test")],
            run=names[best.run.id],
            validation_groups=ground.grouping("validation"),
            test_groups=ground.grouping("test"),
        )
        measured = replace(measured, run=best.run.id)
    alike = [each for each in ranked if each.ground.digest == ground.digest]
    if len(alike) < 2:
        return measured, None
    return measured, expect_optimism(_rows(alike, "validation"), groups=ground.grouping("validation"))


def _one_per_seed(members: Sequence[Judgement]) -> list[Judgement]:
    """Return one run of each seed: twins, as an earlier demijohn and this one train them, say nothing of luck."""
    first: dict[int, Judgement] = {}
    for each in members:
        first.setdefault(each.run.record["seed"], each)
    return list(first.values())


def _rows(members: Sequence[Judgement], split: str) -> Any:
    """Return what runs have right, shape (s, n); all are of the same pictures."""
    part = members[0].ground.where(split)
    return np.stack([each.right[part] for each in members])
