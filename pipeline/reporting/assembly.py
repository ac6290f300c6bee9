"""From judgements to a report: what is kept is recalled, what is missing is computed, conclusions are drawn."""

from collections.abc import Mapping, Sequence

from ...cache.results import KeptResults
from ...cache.store import FeatureStore
from ...cache.table import Dataset, Skipped
from ..assessment.conclusions import conclude, raise_flags
from ..assessment.controls import judge_facts, make_controls
from ..assessment.costs import measure_cost
from ..assessment.expectations import Expectation
from ..assessment.gains import compare_views
from ..assessment.judgements import Judgement
from ..assessment.leaks import find_leaks
from ..assessment.learning_curve import draw_learning_curve
from ..assessment.verdicts import (
    compare_with_best,
    find_cheaper,
    find_front,
    group_families,
    measure_choice,
    separate_families,
)
from ..datasets.examples import refusals_that_hold
from ..progress import Progress
from .report import Filters, LeftOut, Outdated, Report


def assemble_report(
    ranked: Sequence[Judgement],
    names: Mapping[str, str],
    *,
    table: Dataset,
    store: FeatureStore,
    kept: KeptResults,
    filters: Filters,
    split: str | None,
    equivalence: float | None,
    expectations: tuple[Expectation, ...],
    outdated: tuple[Outdated, ...],
    left_out: tuple[LeftOut, ...],
    progress: Progress,
) -> Report:
    """Return the report on some runs.

    Parameters
    ----------
    ranked : sequence of Judgement
        The best by validation first; at least one.
    names : mapping of str to str
        For people, by the id of the run.
    table, store, kept
        The data set, where features and files are, and what was computed before.
    filters : Filters
    split : str or None
        Whose pictures judge; None where there are none.
    equivalence : float or None
        Points.
    expectations, outdated, left_out
        Go into the report as they are.
    progress : Progress
    """
    best, families = ranked[0], group_families(ranked)
    # One ground per feature set, that of the best run first.
    grounds = list({each.ground.inputs.digest: each.ground for each in ranked}.values())
    controls = make_controls(grounds, kept, progress)
    facts, shortcuts, lacking = judge_facts(best.ground, table, store, kept, progress)
    controls[1:1] = [] if facts is None else [facts]
    costs = {each.run.id: measure_cost(each.run.record, each.ground.inputs.sets) for each in ranked}
    seeds = separate_families(families, names, split) if split else ()
    duels = compare_with_best(families, names, split) if split else ()
    leaks = find_leaks(best, names[best.run.id], split, table, kept, progress) if split else None
    margin = None if equivalence is None else equivalence / 100
    cheaper = () if split is None or margin is None else find_cheaper(ranked, costs, names, split, margin=margin)
    flags = raise_flags(ranked, names, controls, split, shortcuts=shortcuts, leaks=leaks, notes=table.notes)
    measured, expected = measure_choice(ranked, names)
    runs = tuple(each.run for each in ranked)
    refused = refusals_that_hold(store)
    return Report(
        dataset=table,
        filters=filters,
        split=split,
        runs=runs,
        names=names,
        families={each.run.id: family for family, members in families.items() for each in members},
        costs=costs,
        duels=duels,
        seeds=seeds,
        equivalences=cheaper,
        measured=measured,
        expected=expected,
        front=find_front(ranked, costs, split) if split else (),
        controls=tuple(controls),
        shortcuts=shortcuts,
        leaks=leaks,
        learning_curve=draw_learning_curve(ranked, kept, progress),
        flags=flags,
        gains=tuple(compare_views(runs)),
        outdated=outdated,
        left_out=left_out,
        notes=(*table.notes, *([] if lacking is None else [lacking])),
        skipped=(*table.skipped, *(Skipped(row.path, refused[row.key]) for row in table.rows if row.key in refused)),
        verdict=conclude(
            ranked, names, split, seeds=seeds, duels=duels, equivalences=cheaper, costs=costs, flags=flags
        ),
        expectations=expectations,
        folder=store.report_folder(table.name),
    )
