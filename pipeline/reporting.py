"""The report: all runs of a data set side by side, the best by validation first.

`report/report.md`, `.csv` and `.json` say the same thing to different readers; the curves of the
heads that learn in epochs and the confusion matrix of the best run are pictures beside them.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cache.files import remove_leftovers, replacing, write_bytes, write_json, writing_errors
from ..cache.runs import Run
from ..cache.store import FeatureStore
from ..cache.table import SPLITS, Dataset, Skipped
from .errors import InvalidRequest, NotTrainable
from .evaluation import confusion_matrix
from .examples import choose_examples, refusals_that_hold
from .figures import draw_confusion, draw_curves
from .gains import Gain, compare_views
from .inputs import JOINT, Inputs
from .progress import SILENT, Progress
from .provenance import describe_environment
from .remains import draw_remains
from .rendering import command_of, to_csv, to_markdown
from .report_page import PAGE, render_report

FORMAT = 1
_SKIPPED_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Outdated:
    """A run of an earlier state of the data set."""

    run: str
    command: str
    """Trains it again on the present state."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `report_heads` found and wrote."""

    dataset: Dataset
    runs: tuple[Run, ...]
    """Of the present state of the data set, the best by validation first."""
    gains: tuple[Gain, ...]
    """What views gained and cost, per run that has a counterpart without."""
    outdated: tuple[Outdated, ...]
    skipped: tuple[Skipped, ...]
    """Pictures of the data set that could not be read."""
    folder: Path

    @property
    def best(self) -> Run | None:
        """The run with the best validation accuracy; None where there is no validation picture."""
        return self.runs[0] if self.runs[0].record["metrics"]["validation"]["images"] else None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `report-heads --json`, which is report.json."""
        return {
            "format": FORMAT,
            "dataset": self.dataset.name,
            "runs": [run.record for run in self.runs],
            "best": self.best.id if self.best else None,
            "views": [each.to_json() for each in self.gains],
            "outdated": [{"run": each.run, "command": each.command} for each in self.outdated],
            "notes": list(self.dataset.notes),
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
            **describe_environment(),
        }


def report_heads(
    *,
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    progress: Progress = SILENT,
) -> Report:
    """Compare all runs of a data set, write the report and return it.

    Parameters
    ----------
    store : path
        Folder that keeps everything.
    results : path, optional
        Folder of the runs and for the report, where the store is read-only.
    dataset : str, optional
        Name of the data set; needed only where the store holds several.

    Raises
    ------
    UnknownDataset
        The store holds no such data set, or several and none is named.
    InvalidRequest
        No head has been trained on it yet.
    """
    kept = FeatureStore(store, results)
    table = kept.find_dataset(dataset)
    runs = [run for run in kept.runs() if run.record["dataset"] == table.name]
    digests = _current_digests(table, kept, {run.record["features_digest"] for run in runs})
    current = [run for run in runs if digests.get(run.record["features_digest"]) == run.record["examples_digest"]]
    outdated = tuple(Outdated(run.id, command_of(run.record, store=kept.folder)) for run in runs if run not in current)
    for each in outdated:
        progress.warn(f"{each.run} is of an earlier state of the data set or its features; again: {each.command}")
    if not current:
        again = (
            f" (runs of an earlier state: {len(outdated)}; the first again: {outdated[0].command})" if outdated else ""
        )
        raise InvalidRequest(f"no head has been trained on the data set {table.name} yet{again}: run train-head first")
    ranked = tuple(sorted(current, key=_rank))
    report = Report(
        dataset=table,
        runs=ranked,
        gains=tuple(compare_views(ranked)),
        outdated=outdated,
        skipped=(*table.skipped, *_refused(table, kept)),
        folder=kept.report_folder,
    )
    _write(report, kept)
    progress.say(f"report in {report.folder / PAGE}")
    return report


def _current_digests(table: Dataset, store: FeatureStore, wanted: Iterable[str]) -> dict[str, str]:
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


def _rank(run: Run) -> tuple[bool, float, float, str]:
    """Best validation accuracy first; then macro F1; then the name, so that the order is stable."""
    metrics = run.record["metrics"]["validation"]
    if metrics["accuracy"] is None:
        return (True, 0.0, 0.0, run.id)
    return (False, -metrics["accuracy"], -metrics["macro_f1"], run.id)


def _refused(table: Dataset, store: FeatureStore) -> list[Skipped]:
    reasons = refusals_that_hold(store)
    return [Skipped(row.path, reasons[row.key]) for row in table.rows if row.key in reasons]


def _write(report: Report, store: FeatureStore) -> None:
    folder = report.folder
    figures = folder / "figures"
    with writing_errors(figures):
        figures.mkdir(parents=True, exist_ok=True)
    remove_leftovers(figures)
    pictures = _draw(report, figures)
    remains = _draw_skipped(report, figures)
    write_json(folder / "report.json", report.to_json())
    write_bytes(folder / "report.csv", to_csv([run.record for run in report.runs]).encode(errors="backslashreplace"))
    markdown = to_markdown(
        report.to_json(),
        [(title, f"figures/{path.name}") for title, path in pictures],
        {name: f"figures/{path.name}" for name, path in remains.items()},
    )
    write_bytes(folder / "report.md", markdown.encode(errors="backslashreplace"))
    page = render_report(report.to_json(), report.runs, store=store, table=report.dataset, folder=folder)
    write_bytes(folder / PAGE, page)
    for old in set(figures.glob("*.png")) - {path for _, path in pictures} - set(remains.values()):
        old.unlink()


def _draw_skipped(report: Report, folder: Path) -> dict[str, Path]:
    """Draw what can still be seen of the first skipped pictures; return the file of each, by its path."""
    drawn = {}
    for each in report.skipped[:_SKIPPED_SHOWN]:
        content = draw_remains(report.dataset.origin.root / each.path)
        if content is not None:
            name = hashlib.sha256(each.path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            drawn[each.path] = folder / f"skipped-{name}.png"
            write_bytes(drawn[each.path], content)
    return drawn


def _draw(report: Report, folder: Path) -> list[tuple[str, Path]]:
    """Draw the pictures of the report; return title and file of each."""
    best = report.runs[0]
    predictions = best.predictions
    # The last split that has pictures: test, else validation, else train.
    last = int(predictions.splits.max())
    chosen = predictions.splits == last
    classes = best.record["classes"]
    counts = confusion_matrix(predictions.labels[chosen], predictions.predicted[chosen], len(classes))
    path = folder / f"confusion-{best.id}.png"
    with replacing(path) as temporary:
        draw_confusion(temporary, counts, classes, f"{best.id}, {SPLITS[last]} split")
    pictures = [(f"Confusion matrix of {best.id} on the {SPLITS[last]} split", path)]
    for run in report.runs:
        history = run.history
        if history:
            path = folder / f"curves-{run.id}.png"
            with replacing(path) as temporary:
                draw_curves(temporary, history, run.id)
            pictures.append((f"Loss and accuracy of {run.id}", path))
    return pictures
