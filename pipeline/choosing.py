"""Which run is meant: one by its id, or the best of a data set.

Only runs of the present state of a data set compete for the best. One that is outdated is still what it
was, and can be used by its id; that it is outdated is said.
"""

import contextlib
import difflib
from collections.abc import Iterable, Sequence

from ..cache.errors import UnknownRun
from ..cache.runs import Run
from ..cache.store import FeatureStore
from ..cache.table import Dataset
from .errors import NotTrainable
from .examples import choose_examples
from .inputs import JOINT, Inputs
from .progress import Progress
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
        A run cannot be read.
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


def current_runs(runs: Sequence[Run], table: Dataset, store: FeatureStore) -> list[Run]:
    """Return the runs whose heads would learn from the same examples now."""
    digests = current_digests(table, store, {run.record["features_digest"] for run in runs})
    return [run for run in runs if digests.get(run.record["features_digest"]) == run.record["examples_digest"]]


def current_digests(table: Dataset, store: FeatureStore, wanted: Iterable[str]) -> dict[str, str]:
    """Return, per features digest of a run, the digest of the examples that a head would learn from now."""
    sets = {features.digest: features for features in store.feature_sets()}
    digests = {}
    for digest in wanted:
        joined = digest.split(JOINT)
        if set(joined) <= set(sets):
            inputs = Inputs((tuple(sets[each] for each in joined),))
            with contextlib.suppress(NotTrainable):
                digests[digest] = choose_examples(table, inputs.keys, store).digest
    return digests


def rank(run: Run) -> tuple[bool, float, float, str]:
    """Best validation accuracy first; then macro F1; then the name, so that the order is stable."""
    metrics = run.record["metrics"]["validation"]
    if metrics["accuracy"] is None:
        return (True, 0.0, 0.0, run.id)
    return (False, -metrics["accuracy"], -metrics["macro_f1"], run.id)


def _choose_best(store: FeatureStore, dataset: str | None, progress: Progress, *, heads_only: bool) -> Run:
    table = store.find_dataset(dataset)
    runs = [run for run in store.runs() if run.record["dataset"] == table.name]
    runs = [run for run in runs if not (heads_only and "parent" in run.record)]
    if not runs:
        raise UnknownRun(f"{store.results} holds no run of the data set {table.name} yet: run train-head first")
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
    best = min(judged, key=rank)
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
        raise UnknownRun(f"{store.results} holds no run yet: run train-head first")
    near = difflib.get_close_matches(name, ids, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected {BEST}, or one of {_some(ids)}"
    raise UnknownRun(f"{store.results} holds no run {name}: {hint}")


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _dataset_of(run: Run, store: FeatureStore) -> Dataset | None:
    name = run.record["dataset"]
    return store.find_dataset(name) if name in store.dataset_names() else None
