"""Which run is meant: one by its id, or the best of a data set.

Only runs of the present state of a data set compete for the best. One that is outdated is still what it
was, and can be used by its id; that it is outdated is said.
"""

import contextlib
import difflib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ...cache.errors import CacheError, DamagedFile, UnknownRun
from ...cache.remedies import on_store
from ...cache.runs import Run
from ...cache.store import FeatureStore
from ...cache.table import Dataset
from ..datasets.examples import Examples, choose_examples
from ..errors import NotTrainable
from ..progress import Progress
from .inputs import JOINT, Inputs
from .rendering import command_of

BEST = "best"
_SHOWN = 5


def choose_run(
    store: FeatureStore, name: str, *, dataset: str | None = None, heads_only: bool = False, progress: Progress
) -> Run:
    """Return a run by its id or the beginning of it, or the best of a data set by validation.

    Parameters
    ----------
    store : FeatureStore
    name : str
        An id, its first letters, or `best`.
    dataset : str, optional
        Whose best run; needed only where the store holds several data sets.
    heads_only : bool
        Fine-tuned networks do not compete for the best.
    progress : Progress

    Raises
    ------
    UnknownRun
        There is none, or several begin so.
    UnknownDataset
        See `FeatureStore.find_dataset`.
    DamagedFile, NewerFormat
        The run that is named cannot be read; others are left out, and that is said.
    """
    if name == BEST:
        return _choose_best(store, dataset, progress, heads_only=heads_only)
    run = store.find_run(name) if name and "/" not in name else None
    if run is None:
        run = _find_by_beginning(store, name)
    if (table := _dataset_of(run, store)) is not None and not current_runs([run], table, store):
        progress.warn(
            f"{run.id} is of an earlier state of the data set {table.name} or its features, and predicts as it did "
            f"then; again: {command_of(run.record, store=store.folder)}"
        )
    return run


def find_earlier(store: FeatureStore, run: str, *, progress: Progress) -> Run | None:
    """Return a run that was trained before, or None where it is to be trained: one that is damaged is none.

    Raises
    ------
    NewerFormat
        A later demijohn wrote it.
    """
    try:
        return store.find_run(run)
    except DamagedFile as error:
        progress.warn(f"{str(error).partition(';')[0]}; it is trained again")
        return None


def current_runs(runs: Sequence[Run], table: Dataset, store: FeatureStore) -> list[Run]:
    """Return the runs whose heads would learn from the same examples now."""
    found = current_examples(table, store, {run.record["features_digest"] for run in runs})
    digests = {digest: examples.digest for digest, (_, examples) in found.items()}
    return [run for run in runs if is_current(run, digests)]


def current_examples(table: Dataset, store: FeatureStore, wanted: Iterable[str]) -> dict[str, tuple[Inputs, Examples]]:
    """Return, per features digest of a run, the features and the examples that a head would learn from now."""
    sets = {features.digest: features for features in store.feature_sets()}
    found = {}
    for digest in sorted(wanted):
        joined = digest.split(JOINT)
        if set(joined) <= set(sets):
            inputs = Inputs((tuple(sets[each] for each in joined),), dataset=table.name)
            with contextlib.suppress(NotTrainable):
                found[digest] = (inputs, choose_examples(table, inputs.keys, store))
    return found


def is_current(run: Run, digests: Mapping[str, str]) -> bool:
    """Say whether a run's head would learn from the same examples now, given their digests by that of the features."""
    return bool(digests.get(run.record["features_digest"]) == run.record["examples_digest"])


def likeness(run: Run) -> str:
    """Return all that a run was made of but the seed, in no particular words: equal for runs that luck tells apart."""
    names = ("head", "settings", "features_digest", "examples_digest", "views", "augment", "tta", "request")
    return repr([run.record.get(name) for name in names])


def rank_runs(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, the best by validation first.

    Runs that differ in the seed alone are ranked together by their mean accuracy, since the best of several
    seeds is so by luck; then by macro F1. Of equals, the one with the least log loss, which is surer of what is right;
    those without probabilities come after them. Among equal seeds the same holds, and at last the id decides.
    """
    families: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (_merit([run]), run.id)):
        families[likeness(run)].append(run)
    ordered = sorted(families.values(), key=lambda members: (_merit(members), members[0].id))
    return [run for members in ordered for run in members]


def _merit(members: Sequence[Run]) -> tuple[bool, float, float, float]:
    """Return what sorts the best by validation first, and those without validation pictures last."""
    metrics = [run.record["metrics"]["validation"] for run in members]
    if any(each["accuracy"] is None for each in metrics):
        return (True, 0.0, 0.0, 0.0)
    accuracy, macro_f1 = (-sum(each[name] for each in metrics) / len(metrics) for name in ("accuracy", "macro_f1"))
    losses = [each.get("log_loss") for each in metrics]
    loss = math.inf if None in losses else sum(losses) / len(losses)
    return (False, accuracy, macro_f1, loss)


def _choose_best(store: FeatureStore, dataset: str | None, progress: Progress, *, heads_only: bool) -> Run:
    table = store.find_dataset(dataset)
    surveyed = store.survey_runs()
    for _, run in surveyed:
        if isinstance(run, CacheError):
            progress.warn(f"left out: {run}")
    runs = [run for _, run in surveyed if isinstance(run, Run) and run.record["dataset"] == table.name]
    runs = [run for run in runs if not (heads_only and "parent" in run.record)]
    if not runs:
        raise UnknownRun(
            f"{store.results} holds no run of the data set {table.name} yet: "
            f"run {on_store('train-head', store.folder)} first"
        )
    current = current_runs(runs, table, store)
    judged = [run for run in current if run.record["metrics"]["validation"]["images"]]
    if not current:
        raise UnknownRun(
            f"all {len(runs)} runs of the data set {table.name} are of an earlier state of it or its features: "
            f"train again, as with {command_of(runs[0].record, store=store.folder)}, or name one with --run ID"
        )
    if not judged:
        raise UnknownRun(
            f"no run of the data set {table.name} was judged on validation pictures, so none is the best: "
            f"name one with --run ID, such as {current[0].id}"
        )
    best = rank_runs(judged)[0]
    progress.say(f"the best of {len(judged)} by validation: {best.id}")
    return best


def _find_by_beginning(store: FeatureStore, name: str) -> Run:
    folder = store.results / "runs"
    ids = sorted(path.parent.name for path in folder.glob("*/run.json"))
    found = [each for each in ids if name and each.startswith(name)]
    if len(found) == 1 and (run := store.find_run(found[0])) is not None:
        return run
    if found:
        raise UnknownRun(f"{len(found)} runs begin with {name}: {_some(found)}; name one of them in full")
    if not ids:
        raise UnknownRun(f"{store.results} holds no run yet: run {on_store('train-head', store.folder)} first")
    near = difflib.get_close_matches(name, ids, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected {BEST}, or one of {_some(ids)}"
    raise UnknownRun(f"{store.results} holds no run {name}: {hint}")


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _dataset_of(run: Run, store: FeatureStore) -> Dataset | None:
    name = run.record["dataset"]
    return store.find_dataset(name) if name in store.dataset_names() else None
