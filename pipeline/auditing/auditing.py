"""What is wrong with a data set: duplicates, leaks, label errors, outliers, shortcuts, skipped files.

The table of the data set is enough for exact duplicates, headers of the files for sizes and the
shortcut probe, features for everything that needs to see. What cannot be told for want of one of
them is said.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ...cache.files import write_bytes, write_json
from ...cache.part import Key
from ...cache.remedies import extraction
from ...cache.store import FeatureStore
from ...cache.table import Dataset, Row, Skipped
from ...models.heads.probes import FOLDS
from ..datasets.examples import conflicting_keys, refusals_that_hold
from ..pictures.facts import FileState, read_facts
from ..progress import SILENT, Progress
from ..runs.inputs import extraction_command
from .findings import Audit, Duplicate
from .inspection import Inspection, group_pictures, inspect_features
from .page import render_page
from .shortcuts import Shortcuts, probe_shortcuts
from .summary import KEPT

TOP = 30
"""How many of each kind are shown; the JSON lists all."""
_GIVEN = "split folders: "


def audit(
    *,
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    features: str | None = None,
    top: int = TOP,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Audit:
    """Look for what is wrong with a data set, write report/<data set>/audit.html and return what was found.

    Parameters
    ----------
    results : path, optional
        Folder for the page, where the store is read-only.
    store : path
        Folder that keeps everything.
    dataset, backbone, features : str, optional
        Name of the data set, name of the backbone, first digits of the feature set's digest; each
        is needed only where the store holds several.
    top : int
        How many findings of each kind the page shows.
    seed : int
        Of folds, forests and intervals.

    Raises
    ------
    UnknownDataset, UnknownFeatures
        What was asked for is not there, or there are several; the message lists them.
    StoreNotWritable
        The page cannot be written.
    """
    kept = FeatureStore(store, results)
    table = kept.find_dataset(dataset)
    named = backbone is not None or features is not None
    chosen = kept.find_feature_set(backbone, features) if named or kept.feature_sets() else None
    progress.say(f"{table.name}: {len(table.rows):,} images in {table.origin.root}")
    state = read_facts(table.origin.root, table.rows, kept.index)
    refused = refusals_that_hold(kept)
    pictures = _distinct(table.rows, state.present)
    inspection = inspect_features(
        pictures, chosen, table.origin.root, state.present, unreadable=refused, seed=seed, progress=progress
    )
    shortcuts = _probe(pictures, state, inspection, seed=seed)
    anew = extraction(table.origin.source, table.name, kept.folder)
    again = extraction_command(chosen, table.name) if chosen else anew
    found = Audit(
        dataset=table,
        seed=seed,
        features=chosen if inspection.looked_at else None,
        facts=dict(state.facts),
        duplicates=_duplicates(table),
        near_duplicates=inspection.near_duplicates,
        label_errors=inspection.label_errors,
        outliers=inspection.outliers,
        shortcuts=shortcuts,
        skipped=(*table.skipped, *(Skipped(row.path, refused[row.key]) for row in table.rows if row.key in refused)),
        notes=tuple(_notes(table, state, inspection, shortcuts, again=again)),
        page=kept.report_folder(table.name) / "audit.html",
    )
    write_bytes(found.page, render_page(found, top=top).encode("utf-8", "backslashreplace"))
    # From which the report tells in short what was found.
    write_json(found.page.with_name(KEPT), found.to_json())
    progress.say(f"page in {found.page}")
    return found


def _distinct(rows: Sequence[Row], present: frozenset[str]) -> tuple[Row, ...]:
    """Return one row per key, in the order of the keys; without label where the bytes lie under two.

    Of several files with the same bytes, it is the first with a label whose file is there.
    """
    conflicting = conflicting_keys(rows)
    chosen: dict[Key, Row] = {}
    for row in sorted(rows, key=lambda row: (not row.label, row.path not in present, row.path)):
        chosen.setdefault(row.key, row)
    return tuple(
        replace(row, label="") if row.key in conflicting else row
        for row in sorted(chosen.values(), key=lambda row: row.key)
    )


def _duplicates(table: Dataset) -> tuple[Duplicate, ...]:
    by_key: dict[Key, list[Row]] = defaultdict(list)
    for row in table.rows:
        by_key[row.key].append(row)
    are_given = table.layout.startswith(_GIVEN)
    found = []
    for rows in by_key.values():
        if len(rows) > 1:
            # The table has a key in one split only; the folders tell where its files were put.
            tops = {PurePosixPath(row.path).parts[0] for row in rows if "/" in row.path} if are_given else set()
            found.append(Duplicate(tuple(sorted(rows, key=lambda row: row.path)), tuple(sorted(tops))))
    return tuple(sorted(found, key=lambda each: each.rows[0].path))


def _probe(pictures: Sequence[Row], state: FileState, inspection: Inspection, *, seed: int) -> Shortcuts | None:
    chosen = [row for row in pictures if row.label and row.path in state.facts]
    return probe_shortcuts(
        [state.facts[row.path] for row in chosen],
        [row.label for row in chosen],
        groups=group_pictures(chosen, inspection.near_duplicates),
        seed=seed,
    )


def _notes(
    table: Dataset, state: FileState, inspection: Inspection, shortcuts: Shortcuts | None, *, again: str
) -> Iterator[str]:
    """Say what could not be looked at, and why; `again` extracts the pictures that are there now."""
    root = table.origin.root
    if state.gone and not state.present:
        yield (
            f"none of the {len(state.gone):,} files is in {root}: sizes, kinds, the shortcut probe and thumbnails need "
            "them; move the folder back, or name its new place to extract-features, which extracts nothing twice"
        )
    elif state.gone:
        yield f"files that are not there any more, or cannot be read: {len(state.gone):,}; run {again}"
    if state.changed:
        yield f"files that have changed since they were extracted, left out here: {len(state.changed):,}; run {again}"
    yield from inspection.notes
    if shortcuts is None and state.facts:
        yield f"no shortcut probe: it needs two classes of at least {FOLDS} pictures, in several groups"
