"""The report: all runs of a data set side by side, the best by validation first (docs/report.md).

Runs are read, judged on the same pictures, set against controls, compared, and what follows is written:
`report/<data set>/report.md`, `.csv` and `.json` say the same thing to different readers; the curves of the heads that
learn in epochs and the confusion matrix of the best run are pictures beside them.
"""

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ...cache.errors import CacheError, DamagedFile
from ...cache.files import remove_leftovers, replacing, write_bytes, write_json, writing_errors
from ...cache.remedies import on_store
from ...cache.results import KeptResults
from ...cache.runs import Run
from ...cache.store import FeatureStore
from ...cache.table import SPLITS
from ..assessment.controls import JUDGED
from ..assessment.expectations import read_expectation
from ..assessment.judgements import Judgement, judge_run
from ..assessment.verdicts import group_families, name_runs
from ..errors import InvalidRequest
from ..pictures.remains import draw_remains
from ..progress import SILENT, Progress
from ..runs.choosing import current_examples, is_current, rank_runs
from ..runs.inputs import JOINT
from ..runs.rendering import command_of, to_csv
from ..statistics.evaluation import confusion_matrix
from ..training.ground import Ground
from .assembly import assemble_report
from .figures import draw_confusion, draw_curves
from .markdown import to_markdown
from .page import PAGE, render_report
from .report import FORMAT, Filters, LeftOut, Outdated, Report

_SKIPPED_SHOWN = 30


def report_heads(
    *,
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    runs: Sequence[str] = (),
    backbone: str | None = None,
    split: str | None = None,
    equivalence: float | None = None,
    expect: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Report:
    """Compare the runs of a data set, write the report and return it.

    Parameters
    ----------
    store : path
        Folder that keeps everything.
    results : path, optional
        Folder of the runs and for the report, where the store is read-only.
    dataset : str, optional
        Name of the data set; needed only where the store holds several.
    runs : sequence of str
        Only these: ids or names of runs, in which `*` and `?` stand for anything.
    backbone : str, optional
        Only runs on features of this backbone.
    split : str, optional
        `validation` or `test`: whose pictures judge; by default test where it has any.
    equivalence : float, optional
        Points; whether a cheaper run is as good as the best but for so many.
    expect : sequence of str
        Such as `test.accuracy >= 0.95`; `Report.check` raises where one does not hold.

    Raises
    ------
    UnknownDataset
        The store holds no such data set, or several and none is named.
    InvalidRequest
        No head has been trained on it yet, none fits the filters, the split has no picture, or an
        expectation is none.
    DamagedFile
        Only runs are asked for whose run.json or predictions cannot be read; of others such runs are left out, and
        the report says so.
    """
    expectations = tuple(map(read_expectation, expect))
    filters = Filters(tuple(runs) or None, backbone, split)
    kept = FeatureStore(store, results)
    table = kept.find_dataset(dataset)
    surveyed = kept.survey_runs()
    every = [run for _, run in surveyed if isinstance(run, Run) and run.record["dataset"] == table.name]
    left_out = [LeftOut(folder.name, str(why)) for folder, why in surveyed if isinstance(why, CacheError)]
    found = current_examples(table, kept, {run.record["features_digest"] for run in every})
    grounds = {digest: Ground.of(inputs, examples) for digest, (inputs, examples) in found.items()}
    digests = {digest: ground.digest for digest, ground in grounds.items()}
    current = [run for run in every if is_current(run, digests)]
    outdated = tuple(Outdated(run.id, command_of(run.record, store=kept.folder)) for run in every if run not in current)
    for each in outdated:
        progress.warn(f"{each.run} is of an earlier state of the data set or its features; again: {each.command}")
    results_kept = KeptResults(kept.report_folder(table.name) / "kept", FORMAT)
    everyone, damaged = _judge(rank_runs(current), grounds, results_kept)
    left_out += damaged
    if not everyone:
        told = (
            [f"runs of an earlier state: {len(outdated)}; the first again: {outdated[0].command}"] if outdated else []
        )
        told += [f"runs that cannot be read: {len(left_out)}; {left_out[0].reason}"] if left_out else []
        raise InvalidRequest(
            f"no head has been trained on the data set {table.name} yet{''.join(f' ({each})' for each in told)}: "
            f"run {on_store('train-head', kept.folder)} first"
        )

    names = name_runs(group_families(everyone))
    ranked = [each for each in everyone if _fits(each.run, names[each.run.id], filters)]
    if not ranked:
        if named := [each.reason for each in left_out if each.run in runs]:
            raise DamagedFile(named[0])
        there = ", ".join(names[each.run.id] for each in everyone)
        raise InvalidRequest(f"no run fits the filters: expected some of {there}; leave out --runs or --backbone")
    report = assemble_report(
        ranked,
        {each.run.id: names[each.run.id] for each in ranked},
        table=table,
        store=kept,
        kept=results_kept,
        filters=filters,
        split=_choose_split(ranked[0].ground, split),
        equivalence=equivalence,
        expectations=expectations,
        outdated=outdated,
        left_out=tuple(left_out),
        progress=progress,
    )
    if filters == Filters():
        results_kept.forget_others()
    _write(report, kept)
    progress.say(f"report in {report.folder / PAGE}")
    return report


def _judge(runs: Sequence[Run], grounds: dict[str, Ground], kept: KeptResults) -> tuple[list[Judgement], list[LeftOut]]:
    """Return the judgement of each run, and those runs whose predictions cannot be read."""
    judged, left_out = [], []
    for run in runs:
        try:
            judged.append(judge_run(run, grounds[run.record["features_digest"]], kept))
        except DamagedFile as error:
            left_out.append(LeftOut(run.id, str(error)))
    return judged, left_out


def _fits(run: Run, name: str, filters: Filters) -> bool:
    patterns, backbone, record = filters.runs, filters.backbone, run.record
    if patterns and not any(fnmatchcase(each, pattern) for each in (run.id, name) for pattern in patterns):
        return False
    return backbone is None or backbone in (record["backbone"], record["inputs"], *record["backbone"].split(JOINT))


def _choose_split(ground: Ground, asked: str | None) -> str | None:
    """Return whose pictures judge: the split that is asked for, else test, else validation; None without any."""
    if asked is not None and not ground.count(asked):
        raise InvalidRequest(
            f"--split {asked} has no picture: expected some to judge by; leave it out, or add pictures"
        )
    return asked or next((split for split in reversed(JUDGED) if ground.count(split)), None)


def _write(report: Report, store: FeatureStore) -> None:
    folder = report.folder
    figures = folder / "figures"
    with writing_errors(figures):
        figures.mkdir(parents=True, exist_ok=True)
    remove_leftovers(figures)
    pictures = _draw(report, figures)
    remains = _draw_skipped(report, figures)
    content = report.to_json()
    write_json(folder / "report.json", content)
    write_bytes(folder / "report.csv", to_csv(content).encode(errors="backslashreplace"))
    markdown = to_markdown(
        content,
        [(title, f"figures/{path.name}") for title, path in pictures],
        {name: f"figures/{path.name}" for name, path in remains.items()},
    )
    write_bytes(folder / "report.md", markdown.encode(errors="backslashreplace"))
    page = render_report(content, report.runs, store=store, table=report.dataset, folder=folder)
    write_bytes(folder / PAGE, page)
    for old in set(figures.glob("*.png")) - {path for _, path in pictures} - set(remains.values()):
        old.unlink()


def _draw_skipped(report: Report, folder: Path) -> dict[str, Path]:
    """Draw what can still be seen of the first skipped pictures; return the file of each, by its path."""
    drawn = {}
    for each in report.skipped[:_SKIPPED_SHOWN]:
        content = draw_remains(report.dataset.origin.place(each.path))
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
